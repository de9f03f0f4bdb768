"""The eleven defects of the taxonomy on an assembled board: where each may be, and what it changes.

Six are defects of the copper and come about as on bare boards; five belong to parts, joints and bare pads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.assembled.design import Design, TestPad
from simulator.assembled.ink import Box, Image, Pose, around, fill, shade, vary
from simulator.assembled.parts import Terminal
from simulator.assembled.placement import PlacedPart, place_parts
from simulator.assembled.solder import cold_joint, solder_bridge, starved_joint
from simulator.drawing.defects import RECIPES as COPPER_RECIPES
from simulator.drawing.defects import paint_defect
from simulator.drawing.shapes import Mask

JOINT_CLASSES = ("cold_joint", "insufficient_solder")
#: Every class that can be drawn, by its name in the taxonomy.
DEFECT_CLASSES: tuple[str, ...] = (
    "missing_component",
    *JOINT_CLASSES,
    "solder_bridge",
    "damaged_pad",
    *COPPER_RECIPES,
)
_LAMINATE = (88, 128, 140)
_FARTHEST_BRIDGE = 20.0
_TRIES = 60
_COPPER_TRIES = 10
_ROOM_TRIALS = 3


@dataclass(frozen=True, slots=True)
class Joint:
    """One terminal of one placed part."""

    owner: PlacedPart
    pad: Terminal

    @property
    def centre(self) -> tuple[float, float]:
        x, y = self.owner.part.pose.place([(self.pad.x, self.pad.y)])[0]
        return float(x), float(y)


@dataclass(slots=True)
class Plan:
    """What is wrong with one board, by where the painter meets it. `boxes` holds class and box of each defect."""

    missing: set[str] = field(default_factory=set)
    joints: dict[tuple[str, Terminal], str] = field(default_factory=dict)
    bridges: list[tuple[Joint, Joint]] = field(default_factory=list)
    pads: list[TestPad] = field(default_factory=list)
    taken: list[Box] = field(default_factory=list)
    boxes: list[tuple[str, Box]] = field(default_factory=list)


def spoil_copper(design: Design, classes: Sequence[str], rng: np.random.Generator, plan: Plan) -> Mask:
    """The design's copper with those of `classes` that concern it; what found no place is missing from the plan."""
    copper = design.copper.copy()
    x1, y1, x2, y2 = design.outline
    frame = [(0, 0, design.width, y1), (0, y2, design.width, design.height), (0, 0, x1, design.height)]
    avoid = [*frame, (x2, 0, design.width, design.height), *design.courtyards()]
    for name in classes:
        tries = range(_COPPER_TRIES if name in COPPER_RECIPES else 0)
        box = next(filter(None, (paint_defect(copper, name, rng, avoid) for _ in tries)), None)
        if box:
            plan.boxes.append((name, box))
            plan.taken.append(box)
    return copper


def choose(
    placed: Sequence[PlacedPart],
    design: Design,
    classes: Sequence[str],
    rng: np.random.Generator,
    plan: Plan,
    *,
    even: bool = False,
) -> None:
    """Pick parts, joints and pads for the other classes, each at a place of its own.

    Args:
        even: kinds of parts are picked however few of them there are, by the root of their joints; else each part as
            often as any other.
    """
    parts = _Parts(placed, even)
    for name in classes:
        if name == "missing_component":
            _choose_missing(parts, rng, plan)
        elif name in JOINT_CLASSES:
            _choose_joint(name, parts, rng, plan)
        elif name == "solder_bridge":
            _choose_bridge(parts, rng, plan)
        elif name == "damaged_pad":
            _choose_pad(design, rng, plan)


def has_room(design: Design, classes: Sequence[str]) -> bool:
    """Whether a board of this design can carry all these defects at once; by a few trials."""
    for trial in range(_ROOM_TRIALS):
        plan, rng = Plan(), np.random.default_rng(trial)
        spoil_copper(design, classes, rng, plan)
        choose(place_parts(design, rng), design, classes, rng, plan)
        if len(plan.taken) == len(classes):
            return True
    return False


def paint_joint(image: Image, name: str, joint: Joint, rng: np.random.Generator, plan: Plan) -> None:
    painter = cold_joint if name == "cold_joint" else starved_joint
    plan.boxes.append((name, painter(image, joint.owner.part.pose, joint.pad, rng)))


def paint_bridges(image: Image, rng: np.random.Generator, plan: Plan) -> None:
    for one, other in plan.bridges:
        box = solder_bridge(image, np.array(one.centre), np.array(other.centre), rng)
        plan.boxes.append(("solder_bridge", box))


def paint_damaged_pads(image: Image, finish: tuple[int, int, int], rng: np.random.Generator, plan: Plan) -> None:
    """A bare pad of which a ragged part has been torn off, down to the laminate."""
    for pad in plan.pads:
        pose = Pose(pad.x, pad.y, float(rng.uniform(0, 360)))
        torn = pose.place(_ragged_half(pad.radius + 0.5, rng))
        fill(image, torn, vary(_LAMINATE, rng, 7))
        flap = pose.place(_ragged_half(pad.radius * 0.5, rng) - (pad.radius * 0.1, 0))
        fill(image, flap, shade(finish, 0.55))
        outline = Pose(pad.x, pad.y).ellipse(0, 0, 2 * pad.radius, 2 * pad.radius)
        plan.boxes.append(("damaged_pad", around(outline, 3)))


def _ragged_half(radius: float, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    angles = np.linspace(-np.pi / 2, np.pi / 2, 12) * float(rng.uniform(0.75, 1.1))
    rim = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    tear = np.stack([rng.uniform(-0.25, 0.35, 6) * radius, np.linspace(rim[-1, 1], rim[0, 1], 6)], axis=1)
    return np.concatenate([rim, tear])


def joints_of(placed: PlacedPart) -> Iterator[Joint]:
    return (Joint(placed, pad) for pad in placed.part.kind.terminals)


class _Parts:
    """What is on a board, to pick from."""

    def __init__(self, placed: Sequence[PlacedPart], even: bool) -> None:
        self._placed = placed
        kinds = [each.part.kind for each in placed]
        looks = [kind.look for kind in kinds]
        shares = np.array([len(kind.terminals) ** 0.5 / looks.count(kind.look) for kind in kinds])
        self._shares = shares / shares.sum() if even else None

    def pick(self, rng: np.random.Generator) -> PlacedPart:
        count = len(self._placed)
        index = rng.integers(count) if self._shares is None else rng.choice(count, p=self._shares)
        return self._placed[int(index)]

    def pick_joint(self, rng: np.random.Generator) -> Joint:
        owner = self.pick(rng)
        pads = owner.part.kind.terminals
        return Joint(owner, pads[int(rng.integers(len(pads)))])


def _choose_missing(parts: _Parts, rng: np.random.Generator, plan: Plan) -> None:
    for _ in range(_TRIES):
        part = parts.pick(rng).part
        across, along = part.reach
        box = around(part.pose.place([(0, 0)]) + np.array([(-across, -along), (across, along)]), 2)
        if _claim(box, plan):
            plan.missing.add(part.name)
            plan.boxes.append(("missing_component", box))
            return


def _choose_joint(name: str, parts: _Parts, rng: np.random.Generator, plan: Plan) -> None:
    for _ in range(_TRIES):
        joint = parts.pick_joint(rng)
        pad, pose = joint.pad, joint.owner.part.pose
        if _claim(around(pose.rectangle(pad.x, pad.y, pad.width, pad.height), 4), plan):
            plan.joints[joint.owner.part.name, pad] = name
            return


def _choose_bridge(parts: _Parts, rng: np.random.Generator, plan: Plan) -> None:
    for _ in range(_TRIES * 4):
        one = parts.pick_joint(rng)
        near = [each for each in joints_of(one.owner) if 1 < _apart(one, each) < _FARTHEST_BRIDGE]
        if not near:
            continue
        other = near[int(rng.integers(len(near)))]
        if _claim(around(np.array([one.centre, other.centre]), 7), plan):
            plan.bridges.append((one, other))
            return


def _choose_pad(design: Design, rng: np.random.Generator, plan: Plan) -> None:
    for index in rng.permutation(len(design.test_pads)):
        pad = design.test_pads[int(index)]
        if _claim(around(np.array([(pad.x, pad.y)]), pad.radius + 3), plan):
            plan.pads.append(pad)
            return


def _apart(one: Joint, other: Joint) -> float:
    return float(np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]))


def _claim(box: Box, plan: Plan) -> bool:
    """Take the place for a defect, unless another has it."""
    if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in plan.taken):
        return False
    plan.taken.append(box)
    return True
