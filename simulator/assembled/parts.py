"""The kinds of parts: what their body and their terminals measure, in pixels of a 640x480 picture."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.assembled.ink import Pose


@dataclass(frozen=True, slots=True)
class Terminal:
    """A pad of a part, in the part's own frame; `inward` points from the pad to the body."""

    x: float
    y: float
    width: float
    height: float
    inward: tuple[float, float]


@dataclass(frozen=True, slots=True)
class PartKind:
    """A package. `look` names the painter of its body, `letter` begins its name on the board."""

    look: str
    letter: str
    width: float
    height: float
    terminals: tuple[Terminal, ...]
    height_above: float = 3.0

    @property
    def reach(self) -> tuple[float, float]:
        """Half of the width and height that body and pads take up."""
        xs = [self.width / 2, *(abs(each.x) + each.width / 2 for each in self.terminals)]
        ys = [self.height / 2, *(abs(each.y) + each.height / 2 for each in self.terminals)]
        return max(xs), max(ys)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a design: `quarters` clockwise quarter turns from how its kind is drawn."""

    kind: PartKind
    name: str
    x: float
    y: float
    quarters: int

    @property
    def pose(self) -> Pose:
        return Pose(self.x, self.y, 90.0 * self.quarters)

    @property
    def reach(self) -> tuple[float, float]:
        across, along = self.kind.reach
        return (along, across) if self.quarters % 2 else (across, along)


def two_ended(look: str, letter: str, length: float, width: float, *, above: float = 3.0) -> PartKind:
    """A chip: two terminals at the ends of a block."""
    pad, reach = length * 0.42, length / 2 + length * 0.04
    ends = (
        Terminal(-reach, 0, pad, width + 3, (1.0, 0.0)),
        Terminal(reach, 0, pad, width + 3, (-1.0, 0.0)),
    )
    return PartKind(look, letter, length, width, ends, above)


def rows(look: str, letter: str, pins: int, pitch: float, body: float, *, pad: float = 13.0) -> PartKind:
    """A package with `pins` on each of two sides."""
    length = pitch * pins + 4
    out = body / 2 + pad / 2 - 1
    terminals = tuple(
        Terminal((i - (pins - 1) / 2) * pitch, side * out, pitch * 0.52, pad, (0.0, -float(side)))
        for side in (-1, 1)
        for i in range(pins)
    )
    return PartKind(look, letter, length, body, terminals, 4.0)


def square(look: str, letter: str, pins: int, pitch: float) -> PartKind:
    """A package with `pins` on each of four sides."""
    body, pad = pitch * pins + 8, 13.0
    out = body / 2 + pad / 2 - 1
    places = [(i - (pins - 1) / 2) * pitch for i in range(pins)]
    flat = [Terminal(at, s * out, pitch * 0.52, pad, (0.0, -float(s))) for s in (-1, 1) for at in places]
    upright = [Terminal(s * out, at, pad, pitch * 0.52, (-float(s), 0.0)) for s in (-1, 1) for at in places]
    return PartKind(look, letter, body, body, (*flat, *upright), 4.0)


def transistor() -> PartKind:
    """SOT-23: two terminals on one side, one on the other."""
    terminals = (
        Terminal(-9, 14, 8, 11, (0.0, -1.0)),
        Terminal(9, 14, 8, 11, (0.0, -1.0)),
        Terminal(0, -14, 8, 11, (0.0, 1.0)),
    )
    return PartKind("transistor", "Q", 30, 18, terminals, 4.0)


def header(pins: int) -> PartKind:
    """A connector: a housing above one row of large pads."""
    terminals = tuple(Terminal((i - (pins - 1) / 2) * 17, 17, 9, 16, (0.0, -1.0)) for i in range(pins))
    return PartKind("connector", "J", pins * 17 + 10, 24, terminals, 9.0)


RESISTORS = (two_ended("resistor", "R", 24, 13), two_ended("resistor", "R", 30, 17))
CAPACITORS = (two_ended("capacitor", "C", 24, 13), two_ended("capacitor", "C", 28, 18, above=4.0))
SMALL_OTHERS = (
    two_ended("diode", "D", 32, 17, above=4.0),
    two_ended("lamp", "D", 26, 15),
    transistor(),
    two_ended("crystal", "Y", 46, 20, above=6.0),
)
LARGE = (
    rows("chip", "U", 4, 13, 34),
    rows("chip", "U", 7, 13, 40),
    rows("chip", "U", 8, 12, 46),
    square("chip", "U", 6, 12),
    square("chip", "U", 8, 12),
    two_ended("can", "C", 44, 40, above=10.0),
    two_ended("coil", "L", 44, 38, above=8.0),
)
HEADERS = (header(4), header(6), header(8))
