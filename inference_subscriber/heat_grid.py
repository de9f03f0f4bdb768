"""The cells of a heat map, and which of them a box in the picture touches."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

Rect = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the picture; x2, y2 lie outside."""
Heat = npt.NDArray[np.uint8]
"""Rows x columns of cells, in 1/256; 128 at the threshold."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class HeatGrid:
    """Cells of the heat: their number, and their size in pixels."""

    columns: int
    rows: int
    width: float
    height: float

    @staticmethod
    def over(heat: Heat, size: tuple[int, int]) -> "HeatGrid":
        rows, columns = heat.shape
        return HeatGrid(columns, rows, size[0] / columns, size[1] / rows)

    def mask(self, box: Rect, margin: float = 0.0) -> Mask:
        """The cells that `box`, with `margin` pixels around it, touches."""
        x1, y1 = (box[0] - margin) / self.width, (box[1] - margin) / self.height
        x2, y2 = (box[2] + margin) / self.width, (box[3] + margin) / self.height
        columns, rows = np.arange(self.columns), np.arange(self.rows)
        return ((rows + 1 > y1) & (rows < y2))[:, None] & ((columns + 1 > x1) & (columns < x2))

    def peak(self, heat: Heat, box: Rect) -> float:
        """The hottest cell that `box` touches, 0 to 1; 0 where it touches none."""
        x1, y1, x2, y2 = box
        rows = slice(max(0, int(y1 // self.height)), max(0, ceil(y2 / self.height)))
        columns = slice(max(0, int(x1 // self.width)), max(0, ceil(x2 / self.width)))
        return int(heat[rows, columns].max(initial=0)) / 256

    def union(self, boxes: Iterable[Rect], margin: float) -> Mask:
        touched = np.zeros((self.rows, self.columns), np.bool_)
        for box in boxes:
            touched |= self.mask(box, margin)
        return touched

    def box(self, x: int, y: int, columns: int, rows: int) -> Rect:
        return x * self.width, y * self.height, (x + columns) * self.width, (y + rows) * self.height
