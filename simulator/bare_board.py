"""Bare copper boards in the look of the DeepPCB test images, with defects at known places.

Copper is black and laminate white, as in the binarised images of Tang et al., "Online PCB Defect Detector on a New PCB
Defect Dataset" (2019). The same seed always gives the same board.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from simulator.drawing.defects import RECIPES, Box, paint_defect
from simulator.drawing.layout import draw_layout, print_copper
from simulator.drawing.shapes import Mask

#: The defects that can be drawn, by their names in the taxonomy.
DEFECT_CLASSES: tuple[str, ...] = tuple(RECIPES)

_LAYOUTS_TRIED = 8


@dataclass(frozen=True)
class DrawnDefect:
    """One defect and its label box in pixels; the right and lower edges are exclusive."""

    class_name: str
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class DrawnBoard:
    """A board's image (uint8, height x width x 3, BGR) and the defects on it."""

    image: npt.NDArray[np.uint8]
    defects: tuple[DrawnDefect, ...]


class NoRoomForDefects(ValueError):
    """The board is too small for the defects that were asked for."""


def draw_board(seed: int, width: int = 640, height: int = 480, defects: Sequence[str] = ()) -> DrawnBoard:
    """Draw a board that carries exactly the given defects, one for each name.

    Raises KeyError for a name outside `DEFECT_CLASSES` and NoRoomForDefects when they do not fit.
    """
    rng = np.random.default_rng(seed)
    for _ in range(_LAYOUTS_TRIED):
        copper = draw_layout(width, height, rng)
        placed = place_defects(copper, defects, rng)
        if len(placed) == len(defects):
            image = np.asarray(cv2.cvtColor(print_copper(copper, rng), cv2.COLOR_GRAY2BGR), np.uint8)
            return DrawnBoard(image, placed)
    raise NoRoomForDefects(f"no room for {len(defects)} defects on a board of {width}x{height} pixels")


def place_defects(copper: Mask, defects: Sequence[str], rng: np.random.Generator) -> tuple[DrawnDefect, ...]:
    """Paint defects on a copper mask in place; those that found no place are missing from the result."""
    taken: list[Box] = []
    placed = ((name, paint_defect(copper, name, rng, taken)) for name in defects)
    return tuple(DrawnDefect(name, *box) for name, box in placed if box)
