"""The design of one side of a product: which parts lie where, how they are wired, and what the board looks like.

Every board of the product is drawn from the same design; the same seed always gives the same design.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from simulator.assembled.ink import Box, Colour
from simulator.assembled.parts import CAPACITORS, HEADERS, LARGE, RESISTORS, SMALL_OTHERS, Part, PartKind
from simulator.drawing.shapes import Block, Canvas, Disc, Mask, Point, Shape, Track

_EDGE = 12  # belt that is seen around the board
_RIM = 8  # of the board, without parts
_GAP = 7  # between two pieces of copper
_COURTYARD = 6
_TRIES = 40
_DIRECTIONS: tuple[Point, ...] = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_MASKS: tuple[Colour, ...] = ((42, 92, 22), (54, 110, 30), (110, 52, 18), (26, 24, 118), (34, 36, 34), (58, 84, 26))
_FINISHES: tuple[Colour, ...] = ((110, 178, 208), (168, 178, 184), (120, 160, 205))  # gold, tin, copper


@dataclass(frozen=True, slots=True)
class Look:
    """Colours: solder mask over laminate, its lighter tone over copper, bare pads, silkscreen."""

    mask: Colour
    over_copper: Colour
    finish: Colour
    silk: Colour


@dataclass(frozen=True, slots=True)
class Via:
    """A plated hole with a bare ring."""

    x: int
    y: int
    radius: int
    hole: int


@dataclass(frozen=True, slots=True)
class TestPad:
    """A bare round pad without a part."""

    x: int
    y: int
    radius: int


@dataclass(frozen=True, eq=False)
class Design:
    """One side of a product. `copper` is 1 where there is copper (uint8, height x width)."""

    width: int
    height: int
    look: Look
    parts: tuple[Part, ...]
    vias: tuple[Via, ...]
    test_pads: tuple[TestPad, ...]
    holes: tuple[Point, ...]
    copper: Mask

    @property
    def outline(self) -> Box:
        return _EDGE, _EDGE, self.width - _EDGE, self.height - _EDGE

    def courtyards(self) -> list[Box]:
        """The boxes that parts and bare pads take up: no trace defect is drawn there."""
        parts = [_courtyard(part, 2) for part in self.parts]
        pads = [
            (p.x - p.radius - 3, p.y - p.radius - 3, p.x + p.radius + 3, p.y + p.radius + 3) for p in self.test_pads
        ]
        vias = [(v.x - v.radius, v.y - v.radius, v.x + v.radius, v.y + v.radius) for v in self.vias]
        return [*parts, *pads, *vias]


def make_design(seed: int, width: int = 640, height: int = 480) -> Design:
    """The design that belongs to a seed."""
    rng = np.random.default_rng([seed, 0xDE51])
    floor = _Floor(width, height)
    holes = _mounting_holes(floor, rng)
    areas = _reserve_areas(floor, rng)
    parts = tuple(_place_parts(floor, rng))
    wiring = _Wiring(width, height, parts, floor, rng)
    for area in areas:
        wiring.canvas.place([area])
    wiring.run()
    look = choose_look(rng)
    return Design(width, height, look, parts, tuple(wiring.vias), tuple(wiring.test_pads), holes, wiring.canvas.copper)


def choose_look(rng: np.random.Generator) -> Look:
    """The colours of a product."""
    mask = _MASKS[int(rng.integers(len(_MASKS)))]
    lift = rng.uniform(22, 38)
    over = tuple(int(min(255, channel * 1.25 + lift)) for channel in mask)
    silk = (226, 230, 230) if rng.random() < 0.9 else (120, 214, 226)
    finish = _FINISHES[int(rng.integers(len(_FINISHES)))]
    return Look(mask, (over[0], over[1], over[2]), finish, silk)


class _Floor:
    """Which places of the board are taken by bodies."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.boxes: list[Box] = []

    def take(self, box: Box) -> bool:
        x1, y1, x2, y2 = box
        low = _EDGE + _RIM
        if x1 < low or y1 < low or x2 > self.width - low or y2 > self.height - low:
            return False
        if any(x1 < b[2] and b[0] < x2 and y1 < b[3] and b[1] < y2 for b in self.boxes):
            return False
        self.boxes.append(box)
        return True


def _mounting_holes(floor: _Floor, rng: np.random.Generator) -> tuple[Point, ...]:
    inset = _EDGE + 22
    corners = [(x, y) for x in (inset, floor.width - inset) for y in (inset, floor.height - inset)]
    chosen = corners if rng.random() < 0.6 else [corners[0], corners[3]]
    for x, y in chosen:
        floor.boxes.append((x - 20, y - 20, x + 20, y + 20))
    return tuple(chosen)


def _reserve_areas(floor: _Floor, rng: np.random.Generator) -> list[Block]:
    """Large copper areas that no part covers, as ground and heat sinks have."""
    areas: list[Block] = []
    for _ in range(_TRIES):
        width, height = (int(side) for side in rng.integers(90, 150, 2))
        x, y = (int(at) for at in rng.integers(_EDGE + _RIM, (floor.width - width, floor.height - height)))
        if len(areas) < 2 and floor.take((x, y, x + width, y + height)):
            areas.append(Block((x + 4, y + 4), (width - 8, height - 8), int(rng.integers(10))))
    return areas


def _courtyard(part: Part, margin: float = _COURTYARD) -> Box:
    across, along = part.reach
    return (
        math.floor(part.x - across - margin),
        math.floor(part.y - along - margin),
        math.ceil(part.x + across + margin),
        math.ceil(part.y + along + margin),
    )


def _place_parts(floor: _Floor, rng: np.random.Generator) -> Iterator[Part]:
    """Parts from the largest to the smallest; what finds no place is left out."""
    counts: dict[str, int] = {}
    for kind in _bill_of_materials(floor, rng):
        for _ in range(_TRIES):
            part = _somewhere(kind, counts.get(kind.letter, 0) + 1, floor, rng)
            if floor.take(_courtyard(part)):
                counts[kind.letter] = counts.get(kind.letter, 0) + 1
                yield part
                break


def _bill_of_materials(floor: _Floor, rng: np.random.Generator) -> list[PartKind]:
    share = floor.width * floor.height / (640 * 480)
    large = [LARGE[i] for i in rng.integers(len(LARGE), size=max(2, round(rng.integers(3, 6) * share)))]
    small = [*RESISTORS, *CAPACITORS, *RESISTORS, *CAPACITORS, *SMALL_OTHERS]
    several = [small[i] for i in rng.integers(len(small), size=max(8, round(rng.integers(22, 36) * share)))]
    headers = [HEADERS[int(rng.integers(len(HEADERS)))]] if rng.random() < 0.7 else []
    return [*headers, *sorted(large, key=lambda kind: -kind.width), *several]


def _somewhere(kind: PartKind, number: int, floor: _Floor, rng: np.random.Generator) -> Part:
    quarters = int(rng.integers(4))
    part = Part(kind, f"{kind.letter}{number}", 0, 0, quarters)
    across, along = part.reach
    x = round(float(rng.uniform(_EDGE + across, floor.width - _EDGE - across)))
    y = round(float(rng.uniform(_EDGE + along, floor.height - _EDGE - along)))
    return Part(kind, part.name, x, y, quarters)


class _Wiring:
    """Copper: the parts' pads first, then tracks from them, buses, vias and test pads wherever there is room."""

    def __init__(
        self, width: int, height: int, parts: tuple[Part, ...], floor: _Floor, rng: np.random.Generator
    ) -> None:
        self.canvas = Canvas(width, height, _GAP)
        self.vias: list[Via] = []
        self.test_pads: list[TestPad] = []
        self._parts = parts
        self._floor = floor
        self._rng = rng
        self._track = int(rng.integers(7, 11))

    def run(self) -> None:
        self._some(self._test_pad, int(self._rng.integers(5, 10)))
        for part in self._parts:
            self._pads(part)
        self._some(self._bus, int(self._rng.integers(3, 6)))
        self._some(self._power, int(self._rng.integers(2, 5)))
        for _ in range(int(self._rng.integers(30, 50))):
            self._link()

    def _some(self, draw: Callable[[], bool], wanted: int) -> None:
        for _ in range(wanted * _TRIES):
            wanted -= draw()
            if wanted <= 0:
                return

    def _power(self) -> bool:
        """A wide track."""
        path = self._walk(self._anywhere(), int(self._rng.integers(8)), int(self._rng.integers(1, 3)), 150)
        return self._inside(path) and self.canvas.place([Track(tuple(path), int(self._rng.integers(18, 27)))])

    def _pads(self, part: Part) -> None:
        for terminal in part.kind.terminals:
            pose = part.pose
            corners = pose.rectangle(terminal.x, terminal.y, terminal.width, terminal.height)
            (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
            pad = Block((round(x1), round(y1)), (round(x2 - x1), round(y2 - y1)))
            outward = pose.place([(0, 0), (-terminal.inward[0], -terminal.inward[1])])
            step = outward[1] - outward[0]
            heading = _DIRECTIONS.index((round(step[0]), round(step[1])))
            centre = (round((x1 + x2) / 2), round((y1 + y2) / 2))
            self._wire(pad, centre, heading)

    def _wire(self, pad: Block, centre: Point, heading: int) -> None:
        """A pad with a track to a via, if one of a few ways is free; else the pad alone."""
        for _ in range(6):
            path = self._walk(centre, heading, int(self._rng.integers(1, 4)), 90)
            via = self._via_at(path[-1])
            if via and self._inside(path) and self.canvas.place([pad, Track(tuple(path), self._track), _ring(via)]):
                self.vias.append(via)
                return
        self.canvas.place([pad])

    def _bus(self) -> bool:
        """Parallel tracks; those that meet other copper are left out."""
        rng = self._rng
        heading, pitch = int(rng.integers(4)) * 2, self._track + _GAP + int(rng.integers(0, 5))
        (dx, dy), start = _DIRECTIONS[heading], self._anywhere()
        length, laid = int(rng.integers(60, 200)), 0
        for lane in range(int(rng.integers(3, 7))):
            a = (start[0] + lane * pitch * abs(dy), start[1] + lane * pitch * abs(dx))
            b = (a[0] + dx * length, a[1] + dy * length)
            laid += self._inside([a, b]) and self.canvas.place([Track((a, b), self._track)])
        return laid >= 2

    def _link(self) -> None:
        path = self._walk(self._anywhere(), int(self._rng.integers(8)), int(self._rng.integers(1, 4)), 110)
        ends = [self._via_at(path[0]), self._via_at(path[-1])]
        vias = [via for via in ends if via]
        shapes: list[Shape] = [Track(tuple(path), self._track), *(_ring(via) for via in vias)]
        if len(vias) == len(ends) and self._inside(path) and self.canvas.place(shapes):
            self.vias.extend(vias)

    def _test_pad(self) -> bool:
        (x, y), radius = self._anywhere(), int(self._rng.integers(8, 13))
        box = (x - radius - 3, y - radius - 3, x + radius + 3, y + radius + 3)
        if not self._floor.take(box):
            return False
        self.canvas.place([Disc((x, y), radius)])
        self.test_pads.append(TestPad(x, y, radius))
        return True

    def _via_at(self, at: Point) -> Via | None:
        """A via there, unless it would lie under a part."""
        radius = max(6, self._track // 2 + 4)
        x, y = at
        under = any(b[0] - 3 < x < b[2] + 3 and b[1] - 3 < y < b[3] + 3 for b in self._floor.boxes)
        return None if under else Via(x, y, radius, radius // 2)

    def _anywhere(self) -> Point:
        low = _EDGE + _RIM
        x = int(self._rng.integers(low, self.canvas.width - low))
        return x, int(self._rng.integers(low, self.canvas.height - low))

    def _inside(self, path: list[Point]) -> bool:
        low = _EDGE + _RIM
        return all(low <= x < self.canvas.width - low and low <= y < self.canvas.height - low for x, y in path)

    def _walk(self, start: Point, heading: int, steps: int, reach: int) -> list[Point]:
        points = [start]
        for _ in range(steps):
            dx, dy = _DIRECTIONS[heading % 8]
            length = int(self._rng.integers(reach // 4, reach)) + 1
            points.append((points[-1][0] + dx * length, points[-1][1] + dy * length))
            heading += int(self._rng.choice([-1, 1]))
        return points


def _ring(via: Via) -> Disc:
    return Disc((via.x, via.y), via.radius)
