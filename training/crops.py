"""Square crops for training, cut on the fly from real boards, from spoiled templates and from drawn boards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from simulator.bare_board import DrawnBoard, NoRoomForDefects, draw_board, place_defects
from training.augment import photograph
from training.boxes import Boxes, Image, crop_boxes, scale_boxes, turn_boxes, turn_image
from training.dataset import CLASS_NAMES, Sample

_OPPOSITE_NAMES = (("open_circuit", "short"), ("mouse_bite", "spur"), ("pin_hole", "spurious_copper"))
_OPPOSITES = {CLASS_NAMES.index(a): CLASS_NAMES.index(b) for pair in _OPPOSITE_NAMES for a, b in (pair, pair[::-1])}

#: Crops with shorts are not inverted: the straight bridges of the set would be opens that look like design gaps.
_SHORT = CLASS_NAMES.index("short")


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn. Shares are of all crops; what is left comes from real boards."""

    size: int = 320
    template_share: float = 0.2
    drawn_share: float = 0.3
    inverted_share: float = 0.35
    around_defect_share: float = 0.75
    rescaled_share: float = 0.3
    scale_range: tuple[float, float] = (0.72, 1.3)
    least_visible: float = 0.5
    class_weights: tuple[float, ...] = (1.3, 1.8, 1.0, 1.0, 1.0, 1.0)
    crops_per_drawn_board: int = 4


@dataclass(frozen=True)
class Crop:
    """One training example: grey uint8 size x size, boxes in pixels, a class index for each."""

    image: Image
    boxes: Boxes
    classes: tuple[int, ...]


def invert(crop: Crop) -> Crop:
    """Copper and laminate exchanged, which makes each defect its opposite: a pin hole is spurious copper, and so on."""
    return Crop(255 - crop.image, crop.boxes, tuple(_OPPOSITES[index] for index in crop.classes))


class CropMaker:
    """An endless, seeded stream of crops."""

    def __init__(
        self, samples: Sequence[Sample], templates: Sequence[Image], settings: CropSettings, rng: np.random.Generator
    ) -> None:
        self._samples = [s for s in samples if min(s.image.shape) >= settings.size]
        self._templates = [t for t in templates if min(t.shape) >= settings.size]
        self._settings = settings
        self._rng = rng
        weights = np.array(settings.class_weights)
        self._class_shares = weights / weights.sum()
        self._defects = [(s, i) for s, sample in enumerate(self._samples) for i in range(len(sample.classes))]
        self._defect_shares = self._share_of_each_defect()
        self._drawn: Iterator[Crop] = iter(())

    def __iter__(self) -> Iterator[Crop]:
        while True:
            yield self._finish(self._next_source())

    def _next_source(self) -> Crop:
        draw = self._rng.random()
        if draw < self._settings.drawn_share or not self._samples:
            return self._from_drawn_board()
        if draw < self._settings.drawn_share + self._settings.template_share and self._templates:
            return self._from_template()
        return self._from_real_board()

    def _from_real_board(self) -> Crop:
        if self._defects and self._rng.random() < self._settings.around_defect_share:
            sample_index, defect = self._defects[self._rng.choice(len(self._defects), p=self._defect_shares)]
            sample = self._samples[sample_index]
            return self._cut(sample, around=sample.boxes[defect])
        return self._cut(self._samples[self._rng.integers(len(self._samples))])

    def _from_template(self) -> Crop:
        """A defect-free board, spoiled in most cases."""
        template = self._templates[self._rng.integers(len(self._templates))]
        plain = self._cut(Sample("", template, np.empty((0, 4)), ()))
        copper = np.asarray(plain.image < 128, np.uint8)
        spoiled = copper.copy()
        defects = place_defects(spoiled, self._choose_defects(5), self._rng)
        image = np.where(spoiled == copper, plain.image, np.where(spoiled, np.uint8(0), np.uint8(255)))
        boxes = np.array([(d.x1, d.y1, d.x2, d.y2) for d in defects], float).reshape(-1, 4)
        return Crop(image, boxes, tuple(CLASS_NAMES.index(d.class_name) for d in defects))

    def _from_drawn_board(self) -> Crop:
        crop = next(self._drawn, None)
        if crop is None:
            self._drawn = self._cut_drawn_board()
            crop = next(self._drawn)
        return crop

    def _cut_drawn_board(self) -> Iterator[Crop]:
        board = self._draw_board()
        boxes = np.array([(d.x1, d.y1, d.x2, d.y2) for d in board.defects], float).reshape(-1, 4)
        classes = tuple(CLASS_NAMES.index(d.class_name) for d in board.defects)
        sample = Sample("", np.ascontiguousarray(board.image[:, :, 0]), boxes, classes)
        for _ in range(self._settings.crops_per_drawn_board):
            around = boxes[self._rng.integers(len(boxes))] if len(boxes) else None
            yield self._cut(sample, around)

    def _draw_board(self) -> DrawnBoard:
        """Once in some ten thousand boards there is no room for all the defects: then another one is drawn."""
        while True:
            try:
                return draw_board(int(self._rng.integers(2**62)), 640, 640, self._choose_defects(10))
            except NoRoomForDefects:
                continue

    def _choose_defects(self, most: int) -> list[str]:
        count = max(0, int(self._rng.integers(-1, most + 1)))
        return [CLASS_NAMES[i] for i in self._rng.choice(len(CLASS_NAMES), count, p=self._class_shares)]

    def _cut(self, sample: Sample, around: npt.NDArray[np.float64] | None = None) -> Crop:
        """A crop of the sample, at times of another scale, that holds the box `around` where it is given."""
        size = self._settings.size
        height, width = sample.image.shape
        cut_width, cut_height = (
            min(side, limit) for side, limit in zip(self._cut_size(), (width, height), strict=True)
        )
        x = self._corner(width, cut_width, None if around is None else (around[0], around[2]))
        y = self._corner(height, cut_height, None if around is None else (around[1], around[3]))
        boxes, kept = crop_boxes(sample.boxes, x, y, cut_width, cut_height, self._settings.least_visible)
        image = sample.image[y : y + cut_height, x : x + cut_width]
        if (cut_width, cut_height) != (size, size):
            image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
            boxes = scale_boxes(boxes, size / cut_width, size / cut_height)
        return Crop(image, boxes, tuple(c for c, keep in zip(sample.classes, kept, strict=True) if keep))

    def _cut_size(self) -> tuple[int, int]:
        size, rng = self._settings.size, self._rng
        if rng.random() >= self._settings.rescaled_share:
            return size, size
        low, high = self._settings.scale_range
        return round(size / rng.uniform(low, high)), round(size / rng.uniform(low, high))

    def _corner(self, side: int, cut: int, span: tuple[float, float] | None) -> int:
        """Where the cut starts along one axis: anywhere, or anywhere that holds the whole span."""
        first, last = 0, side - cut
        if span is not None and span[1] - span[0] < cut:
            first = int(np.clip(span[1] - cut, 0, side - cut))
            last = int(np.clip(span[0], first, side - cut))
        return int(self._rng.integers(first, last + 1))

    def _finish(self, crop: Crop) -> Crop:
        if self._rng.random() < self._settings.inverted_share and _SHORT not in crop.classes:
            crop = invert(crop)
        turn, size = int(self._rng.integers(8)), self._settings.size
        image = photograph(turn_image(crop.image, turn), self._rng)
        return Crop(image, turn_boxes(crop.boxes, turn, size, size), crop.classes)

    def _share_of_each_defect(self) -> npt.NDArray[np.float64]:
        weights = [self._settings.class_weights[self._samples[s].classes[i]] for s, i in self._defects]
        return np.array(weights, float) / max(sum(weights), 1e-9)
