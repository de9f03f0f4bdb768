"""Which part of an anomaly no minor defect explains. Pure.

A mouse bite is unlike a good board too, and leaves a board normal. So heat that lies within the box of a minor defect,
and as far around it as features reach, is that defect's; heat anywhere else is something that nobody has named.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from inference_subscriber.engines.base import Anomaly
from inference_subscriber.heat_grid import Heat, HeatGrid, Mask, Rect

_HALO = 0.03  # of the picture's longer side: at 640 pixels the heat of drawn minor defects reaches 15 beyond them


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
    grid = HeatGrid.over(anomaly.heat, size)
    hot = anomaly.heat > 256 * threshold
    hottest = hot & (anomaly.heat == anomaly.heat.max())
    if not hottest.any():  # the score sees more than a single place does
        hot = hottest = grid.mask(anomaly.box)
    unexplained = ~grid.union(minor, _HALO * max(size))
    if (hottest & unexplained).any() or not hottest.any():
        return Oddity(anomaly.score, anomaly.box)
    left = hot & unexplained
    return _hottest_region(anomaly.heat, left, grid) if left.any() else None


def _hottest_region(heat: Heat, left: Mask, grid: HeatGrid) -> Oddity:
    peak = np.unravel_index(np.argmax(np.where(left, heat, 0)), heat.shape)
    _, labels, regions, _ = cv2.connectedComponentsWithStats(left.astype(np.uint8))
    x, y, columns, rows, _ = (int(each) for each in regions[labels[peak]])
    return Oddity(float(heat[peak]) / 256, grid.box(x, y, columns, rows))
