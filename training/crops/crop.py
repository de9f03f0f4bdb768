"""One training example, and how it is cut out of a board."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from training.boxes import Boxes, Image, crop_boxes, scale_boxes, turn_boxes, turn_image
from training.datasets.form import Sample


@dataclass(frozen=True, slots=True)
class CropSettings:
    """How crops are cut.

    Args:
        size: side of the crop in pixels.
        around_defect_share: share of the crops that are laid around a defect.
        rescaled_share: share of those cut larger or smaller and resized.
        scale_range: by how much they are resized.
        least_visible: share of a box that a crop must hold to keep its label.
        crops_per_board: cut from one drawn board before the next is drawn.
    """

    size: int = 320
    around_defect_share: float = 0.75
    rescaled_share: float = 0.3
    scale_range: tuple[float, float] = (0.72, 1.3)
    least_visible: float = 0.5
    crops_per_board: int = 4


@dataclass(frozen=True, slots=True)
class Crop:
    """One training example: uint8 size x size, grey or x 3 (BGR), boxes in pixels, a class name for each."""

    image: Image
    boxes: Boxes
    classes: tuple[str, ...]


def cut(
    sample: Sample, settings: CropSettings, rng: np.random.Generator, around: npt.NDArray[np.float64] | None = None
) -> Crop:
    """A crop of the sample, at times of another scale, that holds the box `around` where it is given."""
    size = settings.size
    height, width = sample.image.shape[:2]
    cut_width, cut_height = (
        min(side, limit) for side, limit in zip(_cut_size(settings, rng), (width, height), strict=True)
    )
    x = _corner(width, cut_width, None if around is None else (around[0], around[2]), rng)
    y = _corner(height, cut_height, None if around is None else (around[1], around[3]), rng)
    boxes, kept = crop_boxes(sample.boxes, x, y, cut_width, cut_height, settings.least_visible)
    image = sample.image[y : y + cut_height, x : x + cut_width]
    if (cut_width, cut_height) != (size, size):
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
        boxes = scale_boxes(boxes, size / cut_width, size / cut_height)
    return Crop(image, boxes, tuple(c for c, keep in zip(sample.classes, kept, strict=True) if keep))


def cut_several(sample: Sample, settings: CropSettings, rng: np.random.Generator) -> Iterator[Crop]:
    """The crops of one drawn board, most of them around its defects."""
    for _ in range(settings.crops_per_board):
        around = None
        if len(sample.boxes) and rng.random() < settings.around_defect_share:
            around = sample.boxes[rng.integers(len(sample.boxes))]
        yield cut(sample, settings, rng, around)


def turn(crop: Crop, rng: np.random.Generator) -> Crop:
    """The crop laid down in one of the eight ways."""
    chosen, size = int(rng.integers(8)), crop.image.shape[0]
    return Crop(turn_image(crop.image, chosen), turn_boxes(crop.boxes, chosen, size, size), crop.classes)


def _cut_size(settings: CropSettings, rng: np.random.Generator) -> tuple[int, int]:
    if rng.random() >= settings.rescaled_share:
        return settings.size, settings.size
    low, high = settings.scale_range
    return round(settings.size / rng.uniform(low, high)), round(settings.size / rng.uniform(low, high))


def _corner(side: int, extent: int, span: tuple[float, float] | None, rng: np.random.Generator) -> int:
    """Where the cut starts along one axis: anywhere, or anywhere that holds the whole span."""
    first, last = 0, side - extent
    if span is not None and span[1] - span[0] < extent:
        first = int(np.clip(span[1] - extent, 0, side - extent))
        last = int(np.clip(span[0], first, side - extent))
    return int(rng.integers(first, last + 1))
