"""Draws one board of a design: what is on it, what is wrong with it, and the picture a camera takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from simulator.assembled.bodies import paint_body
from simulator.assembled.defects import (
    DEFECT_CLASSES,
    Plan,
    choose,
    joints_of,
    paint_bridges,
    paint_damaged_pads,
    paint_joint,
    spoil_copper,
)
from simulator.assembled.design import Design
from simulator.assembled.ink import Box, Image, blend, mask_of
from simulator.assembled.oddities import ODDITIES, PART_ODDITIES, SURFACE_ODDITIES, swap_part
from simulator.assembled.photograph import Conditions, photograph
from simulator.assembled.placement import PlacedPart, place_parts
from simulator.assembled.solder import good_joint, pasted_pad
from simulator.assembled.substrate import paint_substrate
from simulator.bare_board import DrawnDefect, NoRoomForDefects

_SHADOW = 0.42


@dataclass(frozen=True)
class AssembledBoard:
    """The picture of a board (uint8, height x width x 3, BGR), its defects, and boxes of what no class covers."""

    image: Image
    defects: tuple[DrawnDefect, ...]
    oddities: tuple[DrawnDefect, ...]


def draw_assembled_board(
    design: Design,
    seed: int,
    defects: Sequence[str] = (),
    oddities: Sequence[str] = (),
    conditions: Conditions | None = None,
    *,
    even: bool = False,
) -> AssembledBoard:
    """One board that carries exactly the given defects and oddities, one for each name; the same seed, the same board.

    Args:
        even: rare kinds of parts, and those with many joints, are spoiled about as often as common ones.

    Raises:
        KeyError: a name that is neither.
        NoRoomForDefects: they do not all fit on this design.
    """
    unknown = {*defects, *oddities} - {*DEFECT_CLASSES, *ODDITIES}
    if unknown:
        raise KeyError(f"neither a defect nor an oddity: {', '.join(sorted(unknown))}")
    plan = Plan()
    board = paint_substrate(design, spoil_copper(design, defects, _chance(seed, _Stage.COPPER), plan))
    placed = place_parts(design, _chance(seed, _Stage.PLACES))
    choose(placed, design, defects, _chance(seed, _Stage.FAULTS), plan, even=even)
    odd = list(_swaps(placed, oddities, _chance(seed, _Stage.SWAPS)))
    paint_damaged_pads(board, design.look.finish, _chance(seed, _Stage.PADS), plan)
    _paint_joints(board, placed, seed, plan)
    _paint_parts(board, placed, seed, plan)
    paint_bridges(board, _chance(seed, _Stage.BRIDGES), plan)
    surface = _chance(seed, _Stage.SURFACE)
    odd += [(name, SURFACE_ODDITIES[name](board, design, surface)) for name in oddities if name in SURFACE_ODDITIES]
    if len(plan.boxes) != len(defects) or len(odd) != len(oddities):
        raise NoRoomForDefects(f"no room for {', '.join((*defects, *oddities))} on this design")
    return _photographed(board, plan.boxes, odd, _chance(seed, _Stage.CAMERA), conditions)


class _Stage(IntEnum):
    """Each has chances of its own, so that a board with a defect is otherwise the same as the board without."""

    COPPER = 1
    PLACES = 2
    FAULTS = 3
    SWAPS = 4
    PADS = 5
    JOINTS = 6
    BODIES = 7
    BRIDGES = 8
    SURFACE = 9
    CAMERA = 10


def _chance(seed: int, stage: _Stage, item: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, stage, item])


def _swaps(placed: list[PlacedPart], oddities: Sequence[str], rng: np.random.Generator) -> Iterator[tuple[str, Box]]:
    swapped = ((name, swap_part(name, placed, rng)) for name in oddities if name in PART_ODDITIES)
    return ((name, box) for name, box in swapped if box)


def _photographed(
    board: Image,
    faults: Sequence[tuple[str, Box]],
    odd: Sequence[tuple[str, Box]],
    rng: np.random.Generator,
    conditions: Conditions | None,
) -> AssembledBoard:
    named = [*faults, *odd]
    image, boxes = photograph(board, [box for _, box in named], rng, conditions)
    labels = [DrawnDefect(name, *box) for (name, _), box in zip(named, boxes, strict=True)]
    return AssembledBoard(image, tuple(labels[: len(faults)]), tuple(labels[len(faults) :]))


def _paint_joints(board: Image, placed: Sequence[PlacedPart], seed: int, plan: Plan) -> None:
    joints = (joint for each in placed for joint in joints_of(each))
    for number, joint in enumerate(joints):
        rng, part = _chance(seed, _Stage.JOINTS, number), joint.owner.part
        fault = plan.joints.get((part.name, joint.pad))
        if fault:
            paint_joint(board, fault, joint, rng, plan)
        elif part.name in plan.missing:
            pasted_pad(board, part.pose, joint.pad, rng)
        else:
            good_joint(board, part.pose, joint.pad, rng)


def _paint_parts(board: Image, placed: Sequence[PlacedPart], seed: int, plan: Plan) -> None:
    """Shadows first, then the bodies, of all that are not missing."""
    there = [(number, each) for number, each in enumerate(placed) if each.part.name not in plan.missing]
    shadows = []
    for _, each in there:
        kind, pose = each.part.kind, each.pose
        drop = kind.height_above * 0.5
        shadows.append(replace(pose, x=pose.x + drop, y=pose.y + drop).rectangle(0, 0, kind.width, kind.height))
    blend(board, np.asarray(_SHADOW * mask_of(board.shape, shadows, 1.6), np.float32), (8, 8, 8))
    for number, each in there:
        paint_body(board, each.part, each.pose, _chance(seed, _Stage.BODIES, number))
