"""Crops, turns and mirrors keep every box on its defect."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.boxes import TURNS, crop_boxes, iou_matrix, scale_boxes, turn_boxes, turn_image

_SIDE = st.integers(0, 40)


@st.composite
def marked_image(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """An image that is white inside one box alone, and that box."""
    width, height = draw(st.integers(8, 60)), draw(st.integers(8, 60))
    x1, y1 = draw(st.integers(0, width - 2)), draw(st.integers(0, height - 2))
    x2, y2 = draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))
    image = np.zeros((height, width), np.uint8)
    image[y1:y2, x1:x2] = 255
    return image, np.array([[x1, y1, x2, y2]], float)


def extent(image: np.ndarray) -> list[float]:
    ys, xs = np.nonzero(image)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


@given(marked=marked_image(), turn=st.sampled_from(TURNS))
def test_a_turned_box_lies_on_the_turned_defect(marked: tuple[np.ndarray, np.ndarray], turn: int) -> None:
    image, boxes = marked
    turned = turn_boxes(boxes, turn, image.shape[1], image.shape[0])
    assert turned.tolist() == [extent(turn_image(image, turn))]


@given(marked=marked_image(), x=_SIDE, y=_SIDE, width=st.integers(5, 60), height=st.integers(5, 60))
def test_a_cropped_box_lies_on_what_is_left_of_the_defect(
    marked: tuple[np.ndarray, np.ndarray], x: int, y: int, width: int, height: int
) -> None:
    image, boxes = marked
    cut = image[y : y + height, x : x + width]
    cropped, kept = crop_boxes(boxes, x, y, width, height, least_visible=1e-6)
    assert kept.tolist() == [bool(cut.any())]
    if cut.any():
        assert cropped.tolist() == [extent(cut)]


def test_a_box_that_is_mostly_outside_is_dropped() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], float)
    cropped, kept = crop_boxes(boxes, 6, 0, 40, 40, least_visible=0.5)
    assert kept.tolist() == [False, True]
    assert cropped.tolist() == [[14, 20, 24, 30]]


def test_the_eight_turns_are_all_different() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(3, 3)
    assert len({turn_image(image, turn).tobytes() for turn in TURNS}) == 8


def test_scaled_boxes() -> None:
    assert scale_boxes(np.array([[1, 2, 3, 4]], float), 2, 10).tolist() == [[2, 20, 6, 40]]


def test_iou_by_hand() -> None:
    a = np.array([[0, 0, 10, 10]], float)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 4]], float)
    assert iou_matrix(a, b)[0] == pytest.approx([1, 1 / 3, 0, 0.04])
