"""Stains: the shapes of single defects, and where on a board they may start.

A stain is drawn for the material that it adds: copper, or laminate where it takes copper away.
"""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from simulator.drawing.shapes import Mask

Stain = tuple[Mask, int, int]  # patch of the stain, and where its left upper corner lies

_LONGEST_BRIDGE = 56
_PATCH = 96


class Sites:
    """Where a stain may start on a mask, for the material that the stain adds."""

    def __init__(self, material: Mask) -> None:
        self.material = material
        self._edges: npt.NDArray[np.intp] | None = None
        self._depth: npt.NDArray[np.float32] | None = None

    def edge(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """A random pixel (x, y) of the material's border."""
        if self._edges is None:
            inner = cv2.erode(self.material, np.ones((3, 3), np.uint8))
            self._edges = np.flatnonzero(self.material != inner)
        return self._pick(self._edges, rng)

    def open_ground(self, clearance: float, rng: np.random.Generator) -> tuple[int, int] | None:
        """A random pixel (x, y) at least `clearance` away from the material."""
        if self._depth is None:
            self._depth = np.asarray(cv2.distanceTransform(1 - self.material, cv2.DIST_L2, 3), np.float32)
        return self._pick(np.flatnonzero(self._depth > clearance), rng)

    def outward(self, x: int, y: int) -> tuple[float, float] | None:
        """The unit vector that leads away from the material at an edge pixel."""
        patch = self.material[max(y - 5, 0) : y + 6, max(x - 5, 0) : x + 6]
        if patch.shape != (11, 11):
            return None
        ys, xs = np.nonzero(patch)
        dx, dy = 5 - float(xs.mean()), 5 - float(ys.mean())
        length = math.hypot(dx, dy)
        return None if length < 0.6 else (dx / length, dy / length)

    def distance_across(self, x: int, y: int, direction: tuple[float, float]) -> int | None:
        """Pixels from an edge pixel to the next material straight ahead, or None when there is none near."""
        height, width = self.material.shape
        for step in range(3, _LONGEST_BRIDGE):
            px, py = round(x + direction[0] * step), round(y + direction[1] * step)
            if not (0 <= px < width and 0 <= py < height):
                return None
            if self.material[py, px]:
                return step
        return None

    def _pick(self, flat: npt.NDArray[np.intp], rng: np.random.Generator) -> tuple[int, int] | None:
        if not len(flat):
            return None
        y, x = divmod(int(flat[rng.integers(len(flat))]), self.material.shape[1])
        return x, y


def blot(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A blot in open ground: a worm, a drop, a polygon or a scribble."""
    if rng.random() < 0.12:
        return _long_scratch(sites, rng)
    reach = float(rng.uniform(4, 11)) if rng.random() < 0.8 else float(rng.uniform(11, 20))
    at = sites.open_ground(reach * 0.7 + 3, rng)
    if at is None:
        return None
    patch = np.zeros((_PATCH, _PATCH), np.uint8)
    kind, middle = rng.random(), _PATCH // 2
    if kind < 0.5:
        points = middle + rng.uniform(-reach, reach, (int(rng.integers(2, 5)), 2))
        cv2.polylines(patch, [_curve(points)], False, 1, int(rng.integers(3, 8)))
    elif kind < 0.75:
        axes = (max(4, int(reach * rng.uniform(0.5, 1))), max(4, int(reach * rng.uniform(0.4, 0.9))))
        cv2.ellipse(patch, (middle, middle), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    elif kind < 0.9:
        angles = np.sort(rng.uniform(0, 2 * math.pi, 8))
        radii = rng.uniform(0.5, 1, 8) * max(reach, 6)
        polygon = np.stack([middle + radii * np.cos(angles), middle + radii * np.sin(angles)], axis=1)
        cv2.fillPoly(patch, [polygon.astype(np.int32)], 1)
    else:
        points = middle + rng.uniform(-reach, reach, (7, 2))
        cv2.polylines(patch, [_curve(points)], False, 1, 2)
    return patch, at[0] - middle, at[1] - middle


def _long_scratch(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A thin line that wanders over open ground."""
    at = sites.open_ground(8, rng)
    if at is None:
        return None
    patch, middle = np.zeros((2 * _PATCH, 2 * _PATCH), np.uint8), float(_PATCH)
    headings = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.uniform(-0.5, 0.5, int(rng.integers(4, 12))))
    steps = 7 * np.stack([np.cos(headings), np.sin(headings)], axis=1) + rng.uniform(-1.5, 1.5, (len(headings), 2))
    cv2.polylines(patch, [_curve(middle + np.cumsum(steps, axis=0))], False, 1, int(rng.integers(2, 4)))
    return patch, at[0] - _PATCH, at[1] - _PATCH


def tooth(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A tooth that grows outward from an edge: straight, bent, or a row of short scratches."""
    at = sites.edge(rng)
    outward = at and sites.outward(*at)
    if not at or not outward:
        return None
    patch, middle = np.zeros((_PATCH, _PATCH), np.uint8), _PATCH / 2
    (ox, oy), (sx, sy) = outward, (-outward[1], outward[0])
    length, thickness = float(rng.uniform(5, 16)), int(rng.integers(3, 10))
    kind = rng.random()
    strokes = 1 if kind < 0.75 else int(rng.integers(2, 4)) if kind < 0.88 else int(rng.integers(4, 9))
    for stroke in range(strokes):
        shift = stroke * float(rng.uniform(2, 7)) - (12 if strokes > 3 else 0)
        sway, lean = rng.uniform(-5, 5), rng.uniform(-8, 8)
        stations = [(-3.0, shift), (length * 0.5, shift + sway), (length * rng.uniform(0.6, 1), shift + lean)]
        points = np.array([(middle + ox * d + sx * s, middle + oy * d + sy * s) for d, s in stations])
        cv2.polylines(patch, [_curve(points)], False, 1, thickness if strokes == 1 else 2)
    return patch, at[0] - _PATCH // 2, at[1] - _PATCH // 2


def bridge(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A bridge from one edge straight to the next: one strip, a broad block, or a few thin strokes."""
    at = sites.edge(rng)
    outward = at and sites.outward(*at)
    gap = at and outward and sites.distance_across(*at, outward)
    if not at or not outward or not gap:
        return None
    side = 2 * (gap + 20)
    patch, middle = np.zeros((side, side), np.uint8), side / 2
    (ox, oy), (sx, sy) = outward, (-outward[1], outward[0])
    kind = rng.random()
    strokes = 1 if kind < 0.8 else int(rng.integers(2, 5))
    thickness = int(rng.integers(3, 11)) if kind < 0.65 else int(rng.integers(8, 20)) if kind < 0.8 else 2
    for stroke in range(strokes):
        shift, sway, lean = stroke * rng.uniform(2, 5), rng.uniform(-4, 4), rng.uniform(-6, 6)
        stations = [(-2.0, shift), (gap * 0.5, shift + sway), (gap + 2.0, shift + lean)]
        points = np.array([(middle + ox * d + sx * s, middle + oy * d + sy * s) for d, s in stations])
        cv2.polylines(patch, [_curve(points)], False, 1, thickness)
    return patch, at[0] - side // 2, at[1] - side // 2


def cut(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A scratch from one edge to the next. Over a long way it wanders: a straight one would pass for a design gap."""
    at = sites.edge(rng)
    outward = at and sites.outward(*at)
    gap = at and outward and sites.distance_across(*at, outward)
    if not at or not outward or not gap:
        return None
    side = 2 * (gap + 30)
    patch, middle = np.zeros((side, side), np.uint8), side / 2
    (ox, oy), (sx, sy) = outward, (-outward[1], outward[0])
    along = np.linspace(-2, gap + 2, 3 + gap // 8)
    strokes = 1 if rng.random() < 0.65 else int(rng.integers(2, 5))
    for stroke in range(strokes):
        across = stroke * rng.uniform(2, 5) + np.cumsum(rng.uniform(-4, 4, len(along))) + along * rng.uniform(-0.4, 0.4)
        points = np.stack([middle + ox * along + sx * across, middle + oy * along + sy * across], axis=1)
        for start, end in pairwise(points):
            thickness = 2 if strokes > 1 else int(rng.integers(2, 9 if gap < 20 else 7))
            cv2.polylines(patch, [_curve(np.stack([start, end]))], False, 1, thickness)
    return patch, at[0] - side // 2, at[1] - side // 2


def _curve(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    return np.round(points).astype(np.int32).reshape(-1, 1, 2)
