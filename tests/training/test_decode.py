"""From the network's output to boxes."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.decode import DecodeSettings, decode, suppress, to_blob


def output(*anchors: tuple[float, ...]) -> np.ndarray:
    """The output of a network with two classes for rows of centre x, y, width, height, score, score."""
    return np.array(anchors, np.float32).reshape(-1, 6).T


def test_boxes_come_as_corners_in_falling_order_of_confidence() -> None:
    found = decode(output((10, 20, 4, 8, 0.2, 0.0), (50, 60, 10, 10, 0.0, 0.9)), DecodeSettings())
    assert found.boxes.tolist() == [[45, 55, 55, 65], [8, 16, 12, 24]]
    assert found.classes.tolist() == [1, 0]
    assert found.confidences == pytest.approx([0.9, 0.2])


def test_doubles_are_dropped_within_a_class_only() -> None:
    doubled = output((10, 10, 10, 10, 0.9, 0.8), (11, 10, 10, 10, 0.7, 0.0))
    assert decode(doubled, DecodeSettings()).classes.tolist() == [0, 1]
    assert decode(doubled, DecodeSettings(across_classes=True)).classes.tolist() == [0]


def test_boxes_below_the_confidence_are_dropped() -> None:
    assert len(decode(output((10, 10, 10, 10, 0.2, 0.1)), DecodeSettings(confidence=0.25)).boxes) == 0


def test_no_more_boxes_than_the_most() -> None:
    anchors = [(20 * i, 10, 10, 10, 0.9, 0.0) for i in range(9)]
    assert len(decode(output(*anchors), DecodeSettings(most=4)).boxes) == 4


def test_a_chain_of_overlaps_keeps_its_ends() -> None:
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], float)
    assert suppress(boxes, None, 0.4).tolist() == [0, 2]


def test_the_network_sees_three_equal_planes_from_zero_to_one() -> None:
    blob = to_blob(np.full((32, 64), (0, 255) * 32, np.uint8))
    assert blob.shape == (1, 3, 32, 64)
    assert blob[0, :, 0, :2].tolist() == [[0, 1]] * 3


@pytest.mark.parametrize("shape", [(720, 1280, 3), (375, 500), (1, 2)])
def test_sides_that_the_network_cannot_halve_are_filled_up(shape: tuple[int, ...]) -> None:
    blob = to_blob(np.full(shape, 255, np.uint8))
    height, width = shape[:2]
    assert [side % 32 for side in blob.shape[2:]] == [0, 0]
    assert blob.shape[2] - height < 32
    assert blob.shape[3] - width < 32
    assert (blob[:, :, :height, :width] == 1).all()
    assert (blob[:, :, height:] < 1).all()
