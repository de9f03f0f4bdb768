"""From the numbers of the network to defects."""

import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import Thresholds
from inference_subscriber.engines.letterbox import fit
from inference_subscriber.engines.yolo import YoloReader

NAMES = ("short", "spur")
FIT = fit(640, 480, 640)


def output_of(*anchors: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Centre x, y, width, height, scores of each anchor."""
    return np.array(anchors, np.float32).T


def reader(iou: float = 0.5, **thresholds: float) -> YoloReader:
    return YoloReader(NAMES, Thresholds(0.25, thresholds), iou)


def test_nothing_over_the_threshold_is_nothing_found() -> None:
    assert reader().read(output_of((10, 10, 4, 4, 0.24, 0.1)), FIT) == ()


def test_a_box_has_corners_confidence_and_the_best_class() -> None:
    (found,) = reader().read(output_of((100, 50, 20, 10, 0.3, 0.75)), FIT)
    assert (found.x1, found.y1, found.x2, found.y2) == (90, 45, 110, 55)
    assert (found.class_name, found.confidence) == ("spur", 0.75)


def test_each_class_may_have_its_own_threshold() -> None:
    output = output_of((100, 50, 20, 10, 0.6, 0.5), (300, 50, 20, 10, 0.0, 0.5))
    found = reader(short=0.7).read(output, FIT)
    assert [each.class_name for each in found] == ["spur", "spur"]


def test_boxes_of_one_class_on_one_spot_are_one_defect() -> None:
    output = output_of((100, 50, 20, 20, 0.6, 0), (101, 50, 20, 20, 0.9, 0), (101, 51, 20, 20, 0, 0.5))
    found = reader().read(output, FIT)
    assert [(each.class_name, round(each.confidence, 2)) for each in found] == [("short", 0.9), ("spur", 0.5)]


def test_defects_come_in_falling_order_of_confidence() -> None:
    confidences = [0.3, 0.9, 0.5, 0.7]
    output = output_of(*((50 + 100 * index, 50, 20, 20, each, 0) for index, each in enumerate(confidences)))
    assert [round(each.confidence, 2) for each in reader().read(output, FIT)] == [0.9, 0.7, 0.5, 0.3]


def test_boxes_are_cut_at_the_frame() -> None:
    (found,) = reader().read(output_of((635, 2, 20, 10, 0.9, 0)), FIT)
    assert (found.x1, found.y1, found.x2, found.y2) == (625, 0, 640, 7)


def test_a_flood_of_candidates_is_bounded() -> None:
    rng = np.random.default_rng(0)
    anchors = np.vstack([rng.uniform(0, 480, (2, 8000)), np.full((2, 8000), 2), rng.uniform(0, 1, (2, 8000))])
    assert len(reader().read(anchors.astype(np.float32), FIT)) <= 300
