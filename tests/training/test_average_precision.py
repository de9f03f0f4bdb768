"""Average precision against cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.average_precision import Boxed, average_precision, match, score_class


def boxed(*rows: tuple[float, float, float, float, int, float]) -> Boxed:
    """Boxes from rows of x1, y1, x2, y2, class, confidence."""
    table = np.array(rows, float).reshape(-1, 6)
    return Boxed(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


TRUTH = boxed((0, 0, 10, 10, 0, 1), (20, 20, 30, 30, 0, 1))


@pytest.mark.parametrize(
    ("hits", "truths", "expected"),
    [
        ([True, True], 2, 1.0),
        ([False, False], 2, 0.0),
        ([], 2, 0.0),
        ([True], 0, 0.0),
        ([True], 2, 51 / 101),  # recall 0 to 0.50: 51 points at precision 1
        ([False, True], 1, 0.5),
        ([True, False, True], 2, (51 + 50 * 2 / 3) / 101),
        ([False, True, True], 2, 2 / 3),  # the envelope lifts 1/2 to 2/3
    ],
)
def test_average_precision(hits: list[bool], truths: int, expected: float) -> None:
    assert average_precision(np.array(hits, bool), truths) == pytest.approx(expected)


def test_a_truth_is_found_once_and_by_the_most_confident() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], float)
    assert match(TRUTH.boxes, boxes, np.array([0.3, 0.9]), 0.5).tolist() == [False, True]


def test_the_second_detection_takes_the_truth_that_is_left() -> None:
    truths = np.array([[0, 0, 10, 10], [4, 0, 14, 10]], float)
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10]], float)
    assert match(truths, boxes, np.array([0.9, 0.8]), 0.4).tolist() == [True, True]


def test_nothing_matches_where_there_is_no_truth() -> None:
    assert match(np.empty((0, 4)), TRUTH.boxes, np.array([0.9, 0.8]), 0.5).tolist() == [False, False]


def test_perfect_detections_score_one() -> None:
    score = score_class([TRUTH], [TRUTH], 0)
    assert (score.truths, score.ap50, score.ap50_95, score.recall, score.precision) == (2, 1, 1, 1, 1)


def test_a_shifted_box_counts_up_to_its_overlap() -> None:
    found = boxed((0, 2, 10, 12, 0, 0.9))  # IoU 80/120
    score = score_class([boxed((0, 0, 10, 10, 0, 1))], [found], 0)
    assert score.ap50 == 1
    assert score.ap50_95 == pytest.approx(4 / 10)  # 0.50, 0.55, 0.60, 0.65


def test_classes_are_kept_apart() -> None:
    found = boxed((0, 0, 10, 10, 1, 0.9))
    assert score_class([TRUTH], [found], 0).ap50 == 0
    assert score_class([TRUTH], [found], 1).truths == 0


def test_an_image_lends_no_truth_to_another() -> None:
    nothing = boxed()
    assert score_class([TRUTH, nothing], [nothing, TRUTH], 0).ap50 == 0


def test_recall_and_precision_count_only_what_is_confident_enough() -> None:
    found = boxed((0, 0, 10, 10, 0, 0.9), (50, 50, 60, 60, 0, 0.5), (20, 20, 30, 30, 0, 0.1))
    score = score_class([TRUTH], [found], 0, confidence=0.25)
    assert (score.recall, score.precision) == (0.5, 0.5)


def test_no_images_at_all() -> None:
    assert score_class([], [], 0).ap50 == 0
