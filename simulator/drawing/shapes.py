"""Copper shapes with a clearance, painted on a mask (uint8, 1 where there is copper)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
Point = tuple[int, int]


class Shape(Protocol):
    """Something that can be painted, `grow` pixels larger on every side."""

    def paint(self, mask: Mask, grow: int) -> None: ...


@dataclass(frozen=True)
class Track:
    """A trace: a polyline of constant width."""

    points: tuple[Point, ...]
    width: int

    def paint(self, mask: Mask, grow: int) -> None:
        polyline = np.array(self.points, np.int32).reshape(-1, 1, 2)
        cv2.polylines(mask, [polyline], False, 1, self.width + 2 * grow)


@dataclass(frozen=True)
class Disc:
    """A round pad, or a via when it has a hole."""

    centre: Point
    radius: int
    hole: int = 0

    def paint(self, mask: Mask, grow: int) -> None:
        cv2.circle(mask, self.centre, self.radius + grow, 1, -1)
        if self.hole and not grow:
            cv2.circle(mask, self.centre, self.hole, 0, -1)


@dataclass(frozen=True)
class Block:
    """A rectangular pad or a copper area, with rounded corners."""

    corner: Point
    size: Point
    rounding: int = 0

    def paint(self, mask: Mask, grow: int) -> None:
        r = self.rounding
        (x, y), (w, h) = self.corner, self.size
        cv2.rectangle(mask, (x + r, y + r), (x + w - r, y + h - r), 1, -1)
        if border := 2 * (r + grow):
            cv2.rectangle(mask, (x + r, y + r), (x + w - r, y + h - r), 1, border)


@dataclass(frozen=True)
class Area:
    """A copper area of any outline."""

    points: tuple[Point, ...]

    def paint(self, mask: Mask, grow: int) -> None:
        outline = np.array(self.points, np.int32).reshape(-1, 1, 2)
        cv2.fillPoly(mask, [outline], 1)
        if grow:
            cv2.polylines(mask, [outline], True, 1, 2 * grow)


class Canvas:
    """A mask that takes groups of shapes only where they keep their clearance from all others."""

    def __init__(self, width: int, height: int, clearance: int) -> None:
        self.copper: Mask = np.zeros((height, width), np.uint8)
        self._taken: Mask = np.zeros((height, width), np.uint8)
        self._claim: Mask = np.zeros((height, width), np.uint8)
        self._clearance = clearance

    @property
    def width(self) -> int:
        return int(self.copper.shape[1])

    @property
    def height(self) -> int:
        return int(self.copper.shape[0])

    def place(self, net: Sequence[Shape]) -> bool:
        """Paint the shapes of one net, or none of them when one comes too near to other copper."""
        self._claim[:] = 0
        _paint(net, self._claim, self._clearance)
        if cv2.countNonZero(cv2.bitwise_and(self._claim, self._taken)):
            return False
        _paint(net, self._taken, 0)
        _paint(net, self.copper, 0)
        return True


def _paint(net: Iterable[Shape], mask: Mask, grow: int) -> None:
    for shape in net:
        shape.paint(mask, grow)
