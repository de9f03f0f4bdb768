"""Solder joints as a light from above the board shows them: bright, dull, starved, or running together."""

from __future__ import annotations

import math

import cv2
import numpy as np

from simulator.assembled.ink import Box, Image, Points, Pose, around, blend, fill, mask_of, shade, stroke, vary
from simulator.assembled.parts import Terminal

_TIN = (150, 155, 158)
_BARE_COPPER = (88, 128, 190)


def good_joint(image: Image, pose: Pose, pad: Terminal, rng: np.random.Generator) -> None:
    """A concave fillet: dark at its foot, bright along its slope, with a small highlight."""
    tin = vary(_TIN, rng, 6)
    outer = (pad.x - 0.12 * pad.width * pad.inward[0], pad.y - 0.12 * pad.height * pad.inward[1])
    fill(image, pose.rectangle(pad.x, pad.y, pad.width - 0.5, pad.height - 0.5, 2), shade(tin, 0.72))
    fill(image, pose.rectangle(*outer, pad.width * 0.74, pad.height * 0.74, 2.5), tin)
    _highlight(image, pose.place([outer])[0], 0.3 * min(pad.width, pad.height), rng)


def pasted_pad(image: Image, pose: Pose, pad: Terminal, rng: np.random.Generator) -> None:
    """A pad whose solder has melted with no part on it: a smooth dome."""
    tin = vary(_TIN, rng, 6)
    fill(image, pose.rectangle(pad.x, pad.y, pad.width - 1, pad.height - 1, 3), shade(tin, 0.8))
    fill(image, pose.ellipse(pad.x, pad.y, pad.width * 0.7, pad.height * 0.7), shade(tin, 1.15))
    _highlight(image, pose.place([(pad.x, pad.y)])[0], 0.3 * min(pad.width, pad.height), rng)


def cold_joint(image: Image, pose: Pose, pad: Terminal, rng: np.random.Generator) -> Box:
    """Dull, grainy and lumpy, with a crack around the lead."""
    grey = vary((104, 106, 106), rng, 7)
    lump = _blob(pose, (pad.x, pad.y), pad.width * 0.62, pad.height * 0.62, 0.16, rng)
    fill(image, lump, shade(grey, 0.75))
    cover = mask_of(image.shape, [lump], 0.6)
    grain = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]).astype(np.float32), (0, 0), 0.8)
    blend(image, np.asarray(cover * np.clip(0.45 + 0.9 * grain, 0, 1), np.float32), shade(grey, 1.35))
    at = pose.place([(pad.x + 0.2 * pad.width * pad.inward[0], pad.y + 0.2 * pad.height * pad.inward[1])])[0]
    size = 0.62 * min(pad.width, pad.height)
    arc = Pose(float(at[0]), float(at[1]), float(rng.uniform(0, 360))).ellipse(0, 0, size, size)
    stroke(image, arc[: int(rng.integers(13, 21))], (36, 38, 38))
    return around(lump, 3)


def starved_joint(image: Image, pose: Pose, pad: Terminal, rng: np.random.Generator) -> Box:
    """Most of the pad is bare copper; a sliver of solder clings to the lead."""
    outline = pose.rectangle(pad.x, pad.y, pad.width, pad.height, 1)
    fill(image, outline, vary(_BARE_COPPER, rng, 8))
    at = (pad.x + 0.32 * pad.width * pad.inward[0], pad.y + 0.32 * pad.height * pad.inward[1])
    across = abs(pad.inward[0]) > 0
    sliver = (pad.width * 0.25, pad.height * 0.5) if across else (pad.width * 0.5, pad.height * 0.25)
    fill(image, _blob(pose, at, sliver[0], sliver[1], 0.15, rng), vary((138, 142, 146), rng, 6))
    return around(outline, 3)


def solder_bridge(image: Image, one: Points, other: Points, rng: np.random.Generator) -> Box:
    """Solder from one joint to its neighbour; `one` and `other` are their centres (x, y)."""
    along = other - one
    length = float(np.hypot(*along))
    middle = (one + other) / 2
    pose = Pose(float(middle[0]), float(middle[1]), math.degrees(math.atan2(along[1], along[0])))
    thick = float(rng.uniform(6, 11))
    neck = float(rng.uniform(0.6, 0.95))
    w = length / 2 + float(rng.uniform(1, 4))
    half = [
        (-w, -thick / 2),
        (0, -thick / 2 * neck),
        (w, -thick / 2),
        (w, thick / 2),
        (0, thick / 2 * neck),
        (-w, thick / 2),
    ]
    outline = pose.place([(x, y + float(rng.normal(0, 0.7))) for x, y in half])
    tin = vary(_TIN, rng, 6)
    fill(image, outline, shade(tin, 0.75))
    fill(image, pose.place([(x * 0.86, y * 0.66) for x, y in half]), shade(tin, 1.05))
    _highlight(image, pose.place([(float(rng.uniform(-3, 3)), -1.0)])[0], 0.3 * thick, rng)
    return around(outline, 3)


def _highlight(image: Image, at: Points, size: float, rng: np.random.Generator) -> None:
    x, y = at + rng.normal(0, 0.5, 2) - (0.6, 0.6)
    fill(image, Pose(float(x), float(y), 45).ellipse(0, 0, max(2.2, size * 1.3), max(1.6, size * 0.8)), (236, 240, 242))


def _blob(
    pose: Pose, at: tuple[float, float], half_width: float, half_height: float, rough: float, rng: np.random.Generator
) -> Points:
    angles = np.linspace(0, 2 * math.pi, 18, endpoint=False)
    radii = 1 + np.convolve(rng.normal(0, rough, 20), np.ones(3) / 3, "valid")
    points = np.stack(
        [at[0] + half_width * radii * np.cos(angles), at[1] + half_height * radii * np.sin(angles)], axis=1
    )
    return pose.place(points)
