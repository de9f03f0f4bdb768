"""Random copper layouts: buses, chips, vias, areas, in the manner of the DeepPCB boards."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from simulator.drawing.shapes import Area, Block, Canvas, Disc, Mask, Point, Shape, Track

_SHARE_OF_NEGATIVE_BOARDS = 0.3
_LEAST_VIA = 13  # a smaller one looks like spurious copper
_DIRECTIONS: tuple[Point, ...] = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))


@dataclass(frozen=True)
class Package:
    """Where a chip lies and what its pads are like, in pixels; upright rows run from left to right."""

    corner: Point
    upright: bool
    row_gap: int
    pitch: int
    pad: Point
    rounding: int

    def pin_centre(self, pin: int, side: int) -> Point:
        (x, y), lateral, depth = self.corner, pin * self.pitch, side * self.row_gap // 2
        return (x + lateral, y + depth) if self.upright else (x + depth, y + lateral)

    def heading(self, side: int) -> int:
        """The direction that leads away from the chip on one side (an index into the eight directions)."""
        if self.upright:
            return 2 if side > 0 else 6
        return 0 if side > 0 else 4


@dataclass(frozen=True)
class DesignRules:
    """Dimensions of one board, in pixels."""

    track: int
    gap: int
    pad: int

    @property
    def pitch(self) -> int:
        return self.track + self.gap


def draw_layout(width: int, height: int, rng: np.random.Generator) -> Mask:
    """The copper of one board without defects: uint8, height x width, 1 where there is copper."""
    rules = _choose_rules(rng)
    canvas = Canvas(width, height, rules.gap)
    for net in _nets(canvas, rules, rng):
        canvas.place(net)
    if rng.random() < _SHARE_OF_NEGATIVE_BOARDS:
        return np.asarray(1 - canvas.copper, np.uint8)
    return canvas.copper


def _choose_rules(rng: np.random.Generator) -> DesignRules:
    track = int(rng.choice([6, 7, 8, 10, 12, 16, 22, 30]))
    gap = int(np.clip(track * rng.uniform(0.8, 1.8), 8, 34))
    return DesignRules(track, gap, int(np.clip(track * rng.uniform(1.5, 2.5), 14, 44)))


def _nets(canvas: Canvas, rules: DesignRules, rng: np.random.Generator) -> Iterator[list[Shape]]:
    """Candidate nets, large ones first: what no longer fits is left out by the canvas."""
    if rng.random() < 0.35:
        yield [_area(canvas, rng)]
    for _ in range(int(rng.integers(0, 6))):
        yield _serpentine(canvas, rules, rng)
    for _ in range(int(rng.integers(1, 3))):
        yield from _bus(canvas, rules, rng)
    for _ in range(int(rng.integers(1, 3))):
        yield from _chip(canvas, rules, rng)
    for _ in range(int(rng.integers(16, 40))):
        yield _link(canvas, rules, rng)
    for _ in range(int(rng.integers(6, 18))):
        yield [_via(_anywhere(canvas, rng), rules, rng)]


def _anywhere(canvas: Canvas, rng: np.random.Generator) -> Point:
    return int(rng.integers(canvas.width)), int(rng.integers(canvas.height))


def _via(centre: Point, rules: DesignRules, rng: np.random.Generator) -> Disc:
    radius = max(int(rules.pad * rng.uniform(0.6, 1.1)), _LEAST_VIA)
    return Disc(centre, radius, int(radius * rng.uniform(0.3, 0.5)) if rng.random() < 0.6 else 0)


def _area(canvas: Canvas, rng: np.random.Generator) -> Shape:
    centre, reach = _anywhere(canvas, rng), int(rng.integers(70, 220))
    kind = rng.random()
    if kind < 0.35:
        return Disc(centre, reach, int(reach * rng.uniform(0, 0.6)))
    if kind < 0.7:
        return Block(centre, (reach, int(reach * rng.uniform(0.4, 1.5))), int(rng.integers(0, 20)))
    angles = np.sort(rng.uniform(0, 2 * math.pi, 7))
    return Area(tuple((int(centre[0] + reach * math.cos(a)), int(centre[1] + reach * math.sin(a))) for a in angles))


def _walk(start: Point, heading: int, steps: int, reach: int, rng: np.random.Generator) -> list[Point]:
    """A polyline on the eight directions, turning 45 degrees at most at each corner."""
    points = [start]
    for _ in range(steps):
        dx, dy = _DIRECTIONS[heading % 8]
        length = int(rng.integers(reach // 3, reach)) + 1
        points.append((points[-1][0] + dx * length, points[-1][1] + dy * length))
        heading += int(rng.choice([-1, 1]))
    return points


def _bus(canvas: Canvas, rules: DesignRules, rng: np.random.Generator) -> Iterator[list[Shape]]:
    """Parallel tracks that cross the board side by side."""
    heading = int(rng.integers(8))
    dx, dy = _DIRECTIONS[heading]
    middle = _anywhere(canvas, rng)
    start = (middle[0] - dx * 260, middle[1] - dy * 260)
    spine = _walk(start, heading, int(rng.integers(3, 6)), 260, rng)
    count = int(rng.integers(3, 10))
    for lane in range(count):
        yield [Track(_beside(spine, (lane - count / 2) * rules.pitch), rules.track)]


def _beside(spine: list[Point], offset: float) -> tuple[Point, ...]:
    """The polyline parallel to `spine` at `offset` pixels, corners mitred."""
    points = np.array(spine, float)
    along = np.diff(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    normals = np.stack([-along[:, 1], along[:, 0]], axis=1)
    mitres = np.vstack([normals[:1], normals[:-1] + normals[1:], normals[-1:]])
    mitres /= np.maximum((mitres * np.vstack([normals, normals[-1:]])).sum(axis=1, keepdims=True), 0.5)
    return tuple((round(x), round(y)) for x, y in points + offset * mitres)


def _chip(canvas: Canvas, rules: DesignRules, rng: np.random.Generator) -> Iterator[list[Shape]]:
    """Two facing rows of pads, each pad with a track that may lead to a via."""
    pins = int(rng.integers(3, 9))
    package = _package(canvas, rules, rng)
    for pin in range(pins):
        for side in (-1, 1):
            yield list(_pin(package, pin, side, rules, rng))


def _package(canvas: Canvas, rules: DesignRules, rng: np.random.Generator) -> Package:
    long_side, wide = int(rules.pad * rng.uniform(1.2, 2.5)), max(rules.track, int(rules.pad * 0.7))
    pitch = wide + rules.gap + int(rng.integers(0, 8))
    corner = _anywhere(canvas, rng)
    row_gap, upright = int(rng.integers(60, 150)), bool(rng.random() < 0.5)
    pad = (wide, long_side) if upright else (long_side, wide)
    return Package(corner, upright, row_gap, pitch, pad, int(rng.integers(0, wide // 3)))


def _pin(package: Package, pin: int, side: int, rules: DesignRules, rng: np.random.Generator) -> Iterator[Shape]:
    centre = package.pin_centre(pin, side)
    yield Block((centre[0] - package.pad[0] // 2, centre[1] - package.pad[1] // 2), package.pad, package.rounding)
    if rng.random() < 0.8:
        path = _walk(centre, package.heading(side), int(rng.integers(1, 4)), 110, rng)
        yield Track(tuple(path), rules.track)
        if rng.random() < 0.5:
            yield _via(path[-1], rules, rng)


def _serpentine(canvas: Canvas, rules: DesignRules, rng: np.random.Generator) -> list[Shape]:
    """A meander of right angles whose width changes along the way, as in delay lines and printed antennas."""
    swing, step = int(rng.integers(30, 110)), max(int(rng.integers(24, 80)), rules.pitch + rules.gap)
    corners = [(step * (i // 2), swing * ((i + 1) // 2 % 2)) for i in range(int(rng.integers(4, 14)))]
    x0, y0 = _anywhere(canvas, rng)
    upright = rng.random() < 0.5
    points = [(x0 + y, y0 + x) if upright else (x0 + x, y0 + y) for x, y in corners]
    return [track for start, end in pairwise(points) for track in _segment(start, end, rules, rng)]


def _segment(start: Point, end: Point, rules: DesignRules, rng: np.random.Generator) -> list[Shape]:
    """A straight track, often with a narrow middle (a neck-down) between two stubs."""
    width = max(5, int(rules.track * rng.choice([0.5, 1.0, 1.0, 1.3])))
    if rng.random() < 0.5:
        return [Track((start, end), width)]
    first, last = rng.uniform(0, 0.4), rng.uniform(0.6, 1)
    neck = max(3, int(width * rng.uniform(0.4, 0.7)))
    return [
        Track((start, _between(start, end, first)), width),
        Track((_between(start, end, last), end), width),
        Track((start, end), neck),
    ]


def _between(start: Point, end: Point, share: float) -> Point:
    return round(start[0] + (end[0] - start[0]) * share), round(start[1] + (end[1] - start[1]) * share)


def _link(canvas: Canvas, rules: DesignRules, rng: np.random.Generator) -> list[Shape]:
    """A track between two vias or pads."""
    path = _walk(_anywhere(canvas, rng), int(rng.integers(8)), int(rng.integers(1, 5)), 140, rng)
    ends = [_end(path[i], rules, rng) for i in (0, -1) if rng.random() < 0.75]
    width = rules.track if rng.random() < 0.7 else int(rules.track * rng.uniform(1.2, 2.5))
    return [Track(tuple(path), width), *ends]


def _end(at: Point, rules: DesignRules, rng: np.random.Generator) -> Shape:
    if rng.random() < 0.6:
        return _via(at, rules, rng)
    w, h = (int(rules.pad * f) for f in rng.uniform(0.9, 2.0, 2))
    return Block((at[0] - w // 2, at[1] - h // 2), (w, h), int(rng.integers(0, 6)))


def print_copper(copper: Mask, rng: np.random.Generator) -> Mask:
    """The binarised photograph of the copper: 0 copper, 255 laminate, with edges as rough as in DeepPCB."""
    grain = rng.integers(0, int(rng.integers(16, 96)), copper.shape, np.uint8)
    soft = cv2.GaussianBlur(copper * np.uint8(200), (3, 3), 0)
    return np.asarray(cv2.threshold(cv2.add(soft, grain), 127, 255, cv2.THRESH_BINARY_INV)[1], np.uint8)
