"""The three protocols against cases counted by hand, and COCO's against its own program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcb_bus.contract.taxonomy import UNKNOWN_ANOMALY, Taxonomy, load_taxonomy
from training.evaluation.average_precision import Boxed, score_class
from training.evaluation.confusion import confusion_matrix
from training.evaluation.deeppcb_rule import balance, best_balance, class_precisions
from training.evaluation.factory import Inspected, Share, any_defect, by_verdict


def boxed(*rows: tuple[float, float, float, float, int, float]) -> Boxed:
    """Boxes from rows of x1, y1, x2, y2, class, confidence."""
    table = np.array(rows, float).reshape(-1, 6)
    return Boxed(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


TRUTH = boxed((0, 0, 10, 10, 0, 1), (20, 20, 30, 30, 0, 1), (40, 40, 50, 50, 1, 1))


@pytest.fixture(scope="module")
def taxonomy(pytestconfig: pytest.Config) -> Taxonomy:
    return load_taxonomy(pytestconfig.rootpath / Path("config/pcb_defects.yaml"))


def crowd(seed: int) -> tuple[list[Boxed], list[Boxed]]:
    """40 images with random truths, and detections near them and elsewhere; more than 100 of a class on the first."""
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for image in range(40):
        count = int(rng.integers(0, 12))
        corners, sizes = rng.uniform(0, 500, (count, 2)), rng.uniform(8, 80, (count, 2))
        true = Boxed(np.hstack([corners, corners + sizes]), rng.integers(0, 3, count), np.ones(count))
        near = rng.integers(0, count, 260 if image == 0 else int(rng.integers(0, 70))) if count else np.empty(0, int)
        boxes = true.boxes[near] + rng.normal(0, 5, (len(near), 4))
        classes = np.where(rng.random(len(near)) < 0.8, true.classes[near], rng.integers(0, 3, len(near)))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        truths.append(true)
        found.append(
            Boxed(boxes, np.where(image == 0, 0, classes).astype(np.int64), np.round(rng.random(len(near)), 2))
        )
    return truths, found


# What pycocotools 2.0.11 gives for `crowd(11)`: AP50 and AP50-95 by class.
COCO = ((0.282957136007, 0.140665186243), (0.298197176451, 0.129925750564), (0.352348718399, 0.168950057833))


def test_average_precision_is_that_of_pycocotools() -> None:
    truths, found = crowd(11)
    for index, (ap50, ap50_95) in enumerate(COCO):
        score = score_class(truths, found, index)
        assert (score.ap50, score.ap50_95) == pytest.approx((ap50, ap50_95), abs=1e-9)


def test_deeppcb_counts_precision_at_each_hit_without_interpolation() -> None:
    found = boxed((0, 0, 10, 10, 0, 0.9), (70, 70, 80, 80, 0, 0.8), (20, 20, 30, 30, 0, 0.7))
    assert class_precisions([TRUTH], [found], 2) == pytest.approx([(1 + 2 / 3) / 2, 0])


def test_deeppcb_asks_for_more_than_a_third_of_overlap() -> None:
    enough, too_little = (0, 5, 10, 15, 0, 0.9), (0, 5.05, 10, 15.05, 0, 0.9)  # IoU 1/3 and 0.329
    truth = boxed((0, 0, 10, 10, 0, 1))
    assert class_precisions([truth], [boxed(enough)], 1) == [1.0]
    assert class_precisions([truth], [boxed(too_little)], 1) == [0.0]


def test_deeppcb_gives_each_truth_one_detection_of_its_class() -> None:
    found = boxed((0, 0, 10, 10, 1, 0.9), (0, 0, 10, 10, 0, 0.8), (0, 1, 10, 11, 0, 0.7))
    assert balance([TRUTH], [found]).precision == pytest.approx(1 / 3)


def test_the_best_threshold_is_the_one_of_the_best_f_score() -> None:
    found = boxed((0, 0, 10, 10, 0, 0.9), (40, 40, 50, 50, 1, 0.6), (70, 70, 80, 80, 0, 0.5), (90, 90, 99, 99, 1, 0.4))
    best = best_balance([TRUTH], [found])
    assert (best.f_score, best.precision, best.recall, best.confidence) == pytest.approx((0.8, 1, 2 / 3, 0.6))
    assert balance([TRUTH], [found]).f_score == pytest.approx(4 / 7)


def test_equal_confidences_pass_together() -> None:
    found = boxed((0, 0, 10, 10, 0, 0.9), (70, 70, 80, 80, 0, 0.9))
    assert best_balance([TRUTH], [found]).precision == 0.5


def test_nothing_found_and_nothing_there() -> None:
    assert best_balance([TRUTH], [boxed()]).f_score == balance([boxed()], [TRUTH]).f_score == 0


BOARDS = [
    Inspected("caught", ("short",), ("short", "spur")),
    Inspected("escaped", ("short",), ()),
    Inspected("seen as minor", ("cold_joint",), ("spur",)),
    Inspected("minor", ("spur",), ()),
    Inspected("minor, called", ("spur",), ("short",)),
    Inspected("other gate", ("short", "spur"), ("damaged_pad",)),
    Inspected("good", (), ()),
    Inspected("good, minor called", (), ("pin_hole",)),
    Inspected("good, odd", (), (UNKNOWN_ANOMALY,)),
]


def test_any_defect_makes_a_bad_board() -> None:
    rates = any_defect(BOARDS)
    assert (rates.escapes, rates.false_calls) == (Share(2, 6), Share(2, 3))


def test_a_verdict_forgives_minor_defects(taxonomy: Taxonomy) -> None:
    rates = by_verdict(BOARDS, taxonomy)
    assert (rates.escapes, rates.false_calls) == (Share(2, 4), Share(2, 5))
    assert rates.wrong_gate == Share(1, 2)


def test_the_interval_is_wilsons() -> None:
    assert Share(0, 200).interval == pytest.approx((0, 0.01885), abs=1e-4)
    assert Share(10, 100).interval == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert (Share(0, 0).value, Share(0, 0).interval) == (None, (0, 1))


def test_confusions_doubles_misses_and_ghosts() -> None:
    called = boxed((0, 0, 10, 10, 1, 0.9), (0, 0, 10, 10, 0, 0.8), (70, 70, 80, 80, 1, 0.7), (40, 40, 50, 50, 1, 0.6))
    assert confusion_matrix([TRUTH], [called], 2).tolist() == [[0, 1, 1], [0, 1, 0], [1, 1, 0]]
