"""Geometry of label boxes: crop, turn and mirror. Boxes are float arrays (n, 4) of x1, y1, x2, y2 in pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference_subscriber.overlap import areas, overlaps

Boxes = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

#: The eight ways to lay a square on itself: bit 0 mirrors, the higher bits count quarter turns.
TURNS = range(8)


def crop_boxes(
    boxes: Boxes, x: int, y: int, width: int, height: int, least_visible: float
) -> tuple[Boxes, npt.NDArray[np.bool_]]:
    """Boxes relative to the crop at (x, y), cut at its border, and a mask of those kept.

    A box is kept when at least the share `least_visible` of its area lies inside.
    """
    moved = boxes - np.array([x, y, x, y])
    cut = np.clip(moved, 0, [width, height, width, height])
    kept = areas(cut) >= least_visible * areas(boxes)
    return cut[kept], kept


def turn_image(image: Image, turn: int) -> Image:
    """The image (height x width) mirrored and turned by quarter turns, counter-clockwise."""
    mirrored = image[:, ::-1] if turn & 1 else image
    return np.ascontiguousarray(np.rot90(mirrored, turn >> 1))


def turn_boxes(boxes: Boxes, turn: int, width: int, height: int) -> Boxes:
    """The boxes of `turn_image(image, turn)` for an image of the given width and height."""
    x1, y1, x2, y2 = boxes.T
    if turn & 1:
        x1, x2 = width - x2, width - x1
    for _ in range(turn >> 1):
        x1, y1, x2, y2 = y1, width - x2, y2, width - x1
        width, height = height, width
    return np.stack([x1, y1, x2, y2], axis=1)


def scale_boxes(boxes: Boxes, factor_x: float, factor_y: float) -> Boxes:
    """The boxes of an image resized by the two factors."""
    return np.asarray(boxes * np.array([factor_x, factor_y, factor_x, factor_y]))


def iou_matrix(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    """Intersection over union of every box of `a` (n, 4) with every box of `b` (m, 4): (n, m)."""
    return overlaps(a, b)
