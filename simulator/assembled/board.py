"""Draws one board of a design: what is on it, what is wrong with it, and the picture a camera takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.assembled.bodies import paint_body
from simulator.assembled.defects import (
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
from simulator.assembled.oddities import PART_ODDITIES, SURFACE_ODDITIES, swap_part
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
) -> AssembledBoard:
    """One board that carries exactly the given defects and oddities, one for each name; the same seed, the same board.

    Raises:
        KeyError: a name that is neither.
        NoRoomForDefects: they do not all fit on this design.
    """
    rng = np.random.default_rng([seed, 0xB0A2D])
    plan = Plan()
    odd: list[tuple[str, Box]] = []
    board = paint_substrate(design, spoil_copper(design, defects, rng, plan))
    placed = place_parts(design, rng)
    choose(placed, design, defects, rng, plan)
    swaps = ((name, swap_part(name, placed, rng)) for name in oddities if name in PART_ODDITIES)
    odd.extend((name, box) for name, box in swaps if box)
    paint_damaged_pads(board, design.look.finish, rng, plan)
    _paint_joints(board, placed, rng, plan)
    _paint_parts(board, [each for each in placed if each.part.name not in plan.missing], rng)
    paint_bridges(board, rng, plan)
    odd += [(name, SURFACE_ODDITIES[name](board, design, rng)) for name in oddities if name not in PART_ODDITIES]
    if len(plan.boxes) != len(defects) or len(odd) != len(oddities):
        raise NoRoomForDefects(f"no room for {', '.join((*defects, *oddities))} on this design")
    named = [*plan.boxes, *odd]
    image, boxes = photograph(board, [box for _, box in named], rng, conditions)
    labels = [DrawnDefect(name, *box) for (name, _), box in zip(named, boxes, strict=True)]
    return AssembledBoard(image, tuple(labels[: len(plan.boxes)]), tuple(labels[len(plan.boxes) :]))


def _paint_joints(board: Image, placed: Sequence[PlacedPart], rng: np.random.Generator, plan: Plan) -> None:
    for each in placed:
        for joint in joints_of(each):
            fault = plan.joints.get((each.part.name, joint.pad))
            if fault:
                paint_joint(board, fault, joint, rng, plan)
            elif each.part.name in plan.missing:
                pasted_pad(board, each.part.pose, joint.pad, rng)
            else:
                good_joint(board, each.part.pose, joint.pad, rng)


def _paint_parts(board: Image, placed: Sequence[PlacedPart], rng: np.random.Generator) -> None:
    """Shadows first, then the bodies."""
    shadows = []
    for each in placed:
        kind, pose = each.part.kind, each.pose
        drop = kind.height_above * 0.5
        shadows.append(replace(pose, x=pose.x + drop, y=pose.y + drop).rectangle(0, 0, kind.width, kind.height))
    blend(board, np.asarray(_SHADOW * mask_of(board.shape, shadows, 1.6), np.float32), (8, 8, 8))
    for each in placed:
        paint_body(board, each.part, each.pose, rng)
