"""Crops of assembled boards that `simulator.assembled` draws, in colour, as a webcam sees them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.assembled.board import AssembledBoard, draw_assembled_board
from simulator.assembled.defects import DEFECT_CLASSES
from simulator.assembled.design import Design, make_design
from simulator.bare_board import NoRoomForDefects
from training.crops.bare_copper import boxes_of, names_of
from training.crops.crop import Crop, CropSettings, cut_several
from training.datasets.form import Sample

#: Designs below are trained on; every design of a test has a higher seed.
TRAINED_DESIGNS = 10_000
_DESIGNS_KEPT = 12
_NEW_DESIGN_SHARE = 0.3
_MOST_DEFECTS = 10
_SPARED_SHARE = 0.15  # of the boards, without a defect
_EVEN_SHARE = 0.5  # of the boards, on which rare kinds of parts are spoiled as often as chips
#: Others 1.0: these are learnt last.
_SHARES = {
    "cold_joint": 2.5,
    "insufficient_solder": 3.5,
    "missing_component": 1.6,
    "mouse_bite": 1.5,
    "open_circuit": 1.5,
}
_CHANCES = np.array([_SHARES.get(name, 1.0) for name in DEFECT_CLASSES])
_CHANCES /= _CHANCES.sum()


class DrawnAssembledBoards:
    """An endless supply of boards of many designs; a design serves for a few boards, for making one takes as long."""

    def __init__(self, settings: CropSettings) -> None:
        self._settings = settings
        self._designs: list[Design] = []
        self._crops: Iterator[Crop] = iter(())

    def next_crop(self, rng: np.random.Generator) -> Crop:
        crop = next(self._crops, None)
        if crop is None:
            board = self._draw(rng)
            sample = Sample("", board.image, boxes_of(board.defects), names_of(board.defects))
            self._crops = cut_several(sample, self._settings, rng)
            crop = next(self._crops)
        return crop

    def _draw(self, rng: np.random.Generator) -> AssembledBoard:
        while True:
            count = 0 if rng.random() < _SPARED_SHARE else int(rng.integers(1, _MOST_DEFECTS + 1))
            defects = [str(name) for name in rng.choice(DEFECT_CLASSES, count, p=_CHANCES)]
            even = bool(rng.random() < _EVEN_SHARE)
            try:
                return draw_assembled_board(self._design(rng), int(rng.integers(2**62)), defects, even=even)
            except NoRoomForDefects:
                continue

    def _design(self, rng: np.random.Generator) -> Design:
        if len(self._designs) < 2 or rng.random() < _NEW_DESIGN_SHARE:
            self._designs.append(make_design(int(rng.integers(TRAINED_DESIGNS))))
            del self._designs[:-_DESIGNS_KEPT]
        return self._designs[rng.integers(len(self._designs))]
