"""Crops in the look of DeepPCB: black copper on white laminate, drawn, or a real template with defects painted in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simulator.bare_board import DEFECT_CLASSES, DrawnBoard, DrawnDefect, NoRoomForDefects, draw_board, place_defects
from training.boxes import Boxes, Image
from training.crops.crop import Crop, CropSettings, cut, cut_several
from training.datasets.form import Sample

_OPPOSITE_NAMES = (("open_circuit", "short"), ("mouse_bite", "spur"), ("pin_hole", "spurious_copper"))
_OPPOSITES = {a: b for pair in _OPPOSITE_NAMES for a, b in (pair, pair[::-1])}
_MOST_ON_A_BOARD = 10
_MOST_ON_A_CROP = 5
_SHARES = {"open_circuit": 1.3, "short": 1.8}  # others 1.0: these two took the longest to learn


def invert(crop: Crop) -> Crop:
    """Copper and laminate exchanged, which makes each defect its opposite: a pin hole is spurious copper, and so on.

    Crops with shorts stay as they are: the straight bridges of the set would be opens that look like design gaps.
    """
    if "short" in crop.classes:
        return crop
    return Crop(255 - crop.image, crop.boxes, tuple(_OPPOSITES[name] for name in crop.classes))


class DrawnBareBoards:
    """Crops of boards that `simulator.bare_board` draws."""

    def __init__(self, settings: CropSettings) -> None:
        self._settings = settings
        self._crops: Iterator[Crop] = iter(())

    def next_crop(self, rng: np.random.Generator) -> Crop:
        crop = next(self._crops, None)
        if crop is None:
            self._crops = self._cut_board(rng)
            crop = next(self._crops)
        return crop

    def _cut_board(self, rng: np.random.Generator) -> Iterator[Crop]:
        board = _draw(rng)
        sample = Sample(
            "", np.ascontiguousarray(board.image[:, :, 0]), boxes_of(board.defects), names_of(board.defects)
        )
        return cut_several(sample, self._settings, rng)


class SpoiledTemplates:
    """Crops of real boards without a defect, most of them with defects painted in."""

    def __init__(self, templates: Sequence[Image], settings: CropSettings) -> None:
        self._templates = [each for each in templates if min(each.shape) >= settings.size]
        self._settings = settings

    def __len__(self) -> int:
        return len(self._templates)

    def next_crop(self, rng: np.random.Generator) -> Crop:
        template = self._templates[rng.integers(len(self._templates))]
        plain = cut(Sample("", template, np.empty((0, 4)), ()), self._settings, rng)
        copper = np.asarray(plain.image < 128, np.uint8)
        spoiled = copper.copy()
        defects = place_defects(spoiled, choose_defects(_MOST_ON_A_CROP, rng), rng)
        image = np.where(spoiled == copper, plain.image, np.where(spoiled, np.uint8(0), np.uint8(255)))
        return Crop(image, boxes_of(defects), names_of(defects))


def choose_defects(most: int, rng: np.random.Generator) -> list[str]:
    """None to `most` of them."""
    count = max(0, int(rng.integers(-1, most + 1)))
    weights = np.array([_SHARES.get(name, 1.0) for name in DEFECT_CLASSES])
    return [str(name) for name in rng.choice(DEFECT_CLASSES, count, p=weights / weights.sum())]


def boxes_of(defects: Sequence[DrawnDefect]) -> Boxes:
    return np.array([(d.x1, d.y1, d.x2, d.y2) for d in defects], float).reshape(-1, 4)


def names_of(defects: Sequence[DrawnDefect]) -> tuple[str, ...]:
    return tuple(d.class_name for d in defects)


def _draw(rng: np.random.Generator) -> DrawnBoard:
    """Once in some ten thousand boards there is no room for all the defects: then another one is drawn."""
    while True:
        try:
            return draw_board(int(rng.integers(2**62)), 640, 640, choose_defects(_MOST_ON_A_BOARD, rng))
        except NoRoomForDefects:
            continue
