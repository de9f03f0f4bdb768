"""How one board differs from its design without being faulty: parts lie a little beside their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.assembled.design import Design
from simulator.assembled.ink import Pose
from simulator.assembled.parts import Part

_SHIFT, _TURN = 0.6, 1.0


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """A part of one board, and where it really lies."""

    part: Part
    pose: Pose


def place_parts(design: Design, rng: np.random.Generator) -> list[PlacedPart]:
    return [PlacedPart(part, _nudged(part.pose, rng)) for part in design.parts]


def _nudged(pose: Pose, rng: np.random.Generator) -> Pose:
    dx, dy = np.clip(rng.normal(0, _SHIFT, 2), -1.5, 1.5)
    return Pose(pose.x + float(dx), pose.y + float(dy), pose.angle + float(np.clip(rng.normal(0, _TURN), -2.5, 2.5)))
