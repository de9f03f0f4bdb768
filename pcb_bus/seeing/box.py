"""How what lies in some columns of a picture looks: how broad, how full, how straight. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pcb_bus.seeing.columns import BANDS, Columns, Mask, counted

_NEAR = np.ones((1, 3), np.uint8)  # columns
_SEAM = 3  # columns
_RUNS_ON = 0.6  # of the bands on either side


@dataclass(frozen=True, slots=True)
class Box:
    """What lies in some columns: its first and last band (exclusive), shares of the box around it, 0 to 1, and whether
    it touches one edge alone."""

    top: int
    bottom: int
    filled: float
    textured: float
    straight: float
    one_edge: bool


def box_of(columns: Columns, begin: int, end: int) -> Box:
    """`straight` is the share of columns that reach from side to side, and no further."""
    filled = columns.filled[:, begin:end]
    rows = mostly(filled)
    if len(rows) < 3:
        return Box(0, 0, 0.0, 0.0, 0.0, one_edge=False)
    top, bottom = int(rows[0]), int(rows[-1])
    sides = slice(max(0, top - 2), bottom + 3)
    near = np.asarray(cv2.dilate(filled.view(np.uint8), _NEAR), np.uint8)  # a faint board has gaps
    reaches = near[sides][: top + 3 - sides.start].any(axis=0) & near[bottom - 2 : sides.stop].any(axis=0)
    straight = reaches & ~_beyond(filled, sides)
    inside = slice(top, bottom + 1)
    return Box(
        top,
        bottom + 1,
        float(filled[inside].mean()),
        float(columns.strong[inside, begin:end].mean()),
        float(straight.mean()),
        one_edge=(top == 0) is not (bottom == BANDS - 1),
    )


def _beyond(filled: Mask, sides: slice) -> Mask:
    """The columns in which something lies further out as well; not a seam of the belt, which runs on on both sides."""
    beyond = filled.astype(np.uint8)
    beyond[sides] = 0
    wide = beyond.sum(axis=1)
    there = (wide > 0) & (wide <= _SEAM)  # the sides of an arm are further apart
    outer = there[: sides.start], there[sides.stop :]
    if all(each.size and each.mean() > _RUNS_ON for each in outer):
        beyond = np.asarray(cv2.erode(beyond, _NEAR), np.uint8)
    return np.asarray(cv2.dilate(beyond.max(axis=0)[None], _NEAR)[0], np.bool_)


def mostly(filled: Mask) -> npt.NDArray[np.intp]:
    """The bands of which much is filled."""
    return np.flatnonzero(counted(filled, 1) > 0.3 * filled.shape[1])
