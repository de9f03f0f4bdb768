"""Which part of an anomaly no minor defect explains. Pure.

A mouse bite is unlike a good board too, and leaves a board normal. So heat that lies within the box of a minor defect,
and as far around it as features reach, is that defect's; heat anywhere else is something that nobody has named.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import Anomaly

Rect = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the picture; x2, y2 lie outside."""
_HALO = 0.03  # of the picture's longer side: at 640 pixels the heat of drawn minor defects reaches 15 beyond them
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Oddity:
    """A region over the threshold: how unlike a good board it is (0 to 1), and where."""

    score: float
    box: Rect


def find_oddity(anomaly: Anomaly, threshold: float, size: tuple[int, int], minor: Iterable[Rect]) -> Oddity | None:
    """The hottest region that the boxes of minor defects leave over; None if the score is not over the threshold.

    Args:
        threshold: 0 to 1, on the scale of `anomaly.score`.
        size: width and height of the picture.
        minor: the boxes of its minor defects.
    """
    if anomaly.score <= threshold:
        return None
    grid = _Grid.over(anomaly.heat, size)
    hot = anomaly.heat > 256 * threshold
    hottest = hot & (anomaly.heat == anomaly.heat.max())
    if not hottest.any():  # the score sees more than a single place does
        hot = hottest = grid.mask(anomaly.box)
    unexplained = ~grid.union(minor, _HALO * max(size))
    if (hottest & unexplained).any() or not hottest.any():
        return Oddity(anomaly.score, anomaly.box)
    left = hot & unexplained
    return _hottest_region(anomaly.heat, left, grid) if left.any() else None


@dataclass(frozen=True, slots=True)
class _Grid:
    """Cells of the heat: their number, and their size in pixels."""

    columns: int
    rows: int
    width: float
    height: float

    @staticmethod
    def over(heat: npt.NDArray[np.uint8], size: tuple[int, int]) -> "_Grid":
        rows, columns = heat.shape
        return _Grid(columns, rows, size[0] / columns, size[1] / rows)

    def mask(self, box: Rect, margin: float = 0.0) -> _Mask:
        """The cells that `box`, with `margin` pixels around it, touches."""
        x1, y1 = (box[0] - margin) / self.width, (box[1] - margin) / self.height
        x2, y2 = (box[2] + margin) / self.width, (box[3] + margin) / self.height
        columns, rows = np.arange(self.columns), np.arange(self.rows)
        return ((rows + 1 > y1) & (rows < y2))[:, None] & ((columns + 1 > x1) & (columns < x2))

    def union(self, boxes: Iterable[Rect], margin: float) -> _Mask:
        touched = np.zeros((self.rows, self.columns), np.bool_)
        for box in boxes:
            touched |= self.mask(box, margin)
        return touched

    def box(self, x: int, y: int, columns: int, rows: int) -> Rect:
        return x * self.width, y * self.height, (x + columns) * self.width, (y + rows) * self.height


def _hottest_region(heat: npt.NDArray[np.uint8], left: _Mask, grid: _Grid) -> Oddity:
    peak = np.unravel_index(np.argmax(np.where(left, heat, 0)), heat.shape)
    _, labels, regions, _ = cv2.connectedComponentsWithStats(left.astype(np.uint8))
    x, y, columns, rows, _ = (int(each) for each in regions[labels[peak]])
    return Oddity(float(heat[peak]) / 256, grid.box(x, y, columns, rows))
