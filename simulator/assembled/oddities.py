"""What no class covers and a person would still stop: the anomaly score has to find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from simulator.assembled.design import Design
from simulator.assembled.ink import Box, Image, Points, Pose, around, blend, fill, mask_of, shade, stroke, vary
from simulator.assembled.parts import CAPACITORS, RESISTORS, SMALL_OTHERS, Part
from simulator.assembled.placement import PlacedPart

#: Oddities of a part: they change how it lies or what it is.
PART_ODDITIES = ("wrong_part", "turned_part", "tombstone")
_CHIPS = ("resistor", "capacitor", "diode", "lamp")


def swap_part(name: str, placed: list[PlacedPart], rng: np.random.Generator) -> Box | None:
    """Make one part of the list odd; None when the board has none that can be."""
    suited = [i for i, each in enumerate(placed) if each.part.kind.look in _CHIPS]
    if not suited:
        return None
    at = suited[int(rng.integers(len(suited)))]
    old = placed[at]
    if name == "wrong_part":
        placed[at] = PlacedPart(_another(old.part, rng), old.pose)
    elif name == "turned_part":
        turn = float(rng.choice([-1, 1])) * float(rng.uniform(20, 90))
        placed[at] = replace(old, pose=replace(old.pose, angle=old.pose.angle + turn))
    else:
        placed[at] = _standing(old)
    across, along = old.part.reach
    return around(np.array([(old.pose.x - across, old.pose.y - along), (old.pose.x + across, old.pose.y + along)]), 4)


def _another(part: Part, rng: np.random.Generator) -> Part:
    """A part of another look in the same place, of about the same size."""
    others = [k for k in (*RESISTORS, *CAPACITORS, *SMALL_OTHERS) if k.look != part.kind.look and k.look in _CHIPS]
    other = others[int(rng.integers(len(others)))]
    kind = replace(part.kind, look=other.look)
    return replace(part, kind=kind)


def _standing(placed: PlacedPart) -> PlacedPart:
    """On one end: seen from above it is short, and lies over one of its pads."""
    kind = placed.part.kind
    x, y = placed.pose.place([(-kind.width / 2, 0)])[0]
    short = replace(kind, width=kind.width * 0.42)
    return PlacedPart(replace(placed.part, kind=short), replace(placed.pose, x=float(x), y=float(y)))


def scratch(image: Image, design: Design, rng: np.random.Generator) -> Box:
    path = _wander(design, rng, step=float(rng.uniform(14, 30)), count=int(rng.integers(4, 9)), bend=0.15)
    bright = bool(rng.random() < 0.7)
    colour = shade(design.look.over_copper, 2.0) if bright else shade(design.look.mask, 0.4)
    stroke(image, path, vary(colour, rng), int(rng.integers(1, 3)))
    stroke(image, path + 1.2, shade(design.look.mask, 0.6))
    return around(path, 3)


def hair(image: Image, design: Design, rng: np.random.Generator) -> Box:
    path = _wander(design, rng, step=float(rng.uniform(7, 14)), count=int(rng.integers(10, 22)), bend=0.45)
    stroke(image, path + 1.5, shade(design.look.mask, 0.7))
    stroke(image, path, vary((22, 26, 34), rng, 5), int(rng.integers(1, 3)))
    return around(path, 3)


def flux(image: Image, design: Design, rng: np.random.Generator) -> Box:
    return _patch(image, design, vary((70, 140, 190), rng, 12), float(rng.uniform(0.35, 0.6)), rng)


def stain(image: Image, design: Design, rng: np.random.Generator) -> Box:
    colour = (206, 208, 208) if rng.random() < 0.5 else (40, 52, 60)
    return _patch(image, design, vary(colour, rng, 10), float(rng.uniform(0.3, 0.55)), rng)


def screw(image: Image, design: Design, rng: np.random.Generator) -> Box:
    x, y = _somewhere(design, 30, rng)
    size = float(rng.uniform(20, 34))
    pose = Pose(x, y, float(rng.uniform(0, 90)))
    shadow = mask_of(image.shape, [Pose(x + 4, y + 5).ellipse(0, 0, size * 1.05, size * 1.05)], 2.5)
    blend(image, np.asarray(shadow * 0.55, np.float32), (10, 10, 10))
    metal = vary((168, 172, 174), rng, 10)
    fill(image, pose.ellipse(0, 0, size, size), shade(metal, 0.7))
    fill(image, pose.ellipse(-1, -1, size * 0.86, size * 0.86), metal)
    for quarter in (0.0, 90.0):
        fill(
            image,
            replace(pose, angle=pose.angle + quarter).rectangle(0, 0, size * 0.6, size * 0.16),
            shade(metal, 0.35),
        )
    return around(pose.ellipse(0, 0, size, size), 4)


SURFACE_ODDITIES: dict[str, Callable[[Image, Design, np.random.Generator], Box]] = {
    "scratch": scratch,
    "hair": hair,
    "flux_residue": flux,
    "stain": stain,
    "screw": screw,
}
ODDITIES: tuple[str, ...] = (*PART_ODDITIES, *SURFACE_ODDITIES)


def _patch(
    image: Image, design: Design, colour: tuple[int, int, int], strength: float, rng: np.random.Generator
) -> Box:
    """An uneven translucent patch with a darker rim, as a liquid leaves it."""
    x, y = _somewhere(design, 45, rng)
    angles = np.linspace(0, 2 * np.pi, 30, endpoint=False)
    wobble = 1 + 0.3 * np.sin(angles * 2 + rng.uniform(0, 6)) + 0.18 * np.sin(angles * 3 + rng.uniform(0, 6))
    radius = float(rng.uniform(16, 34))
    outline = np.stack([x + radius * wobble * np.cos(angles), y + radius * wobble * np.sin(angles)], axis=1)
    cover = mask_of(image.shape, [outline], 2.0)
    cloud = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]).astype(np.float32), (0, 0), 6) * 5
    rim = cover - cv2.erode(cover, np.ones((5, 5), np.uint8))
    share = np.clip(cover * strength * (1 + 0.35 * cloud) + 0.5 * rim, 0, 1)
    blend(image, np.asarray(share, np.float32), colour)
    return around(outline, 3)


def _somewhere(design: Design, margin: int, rng: np.random.Generator) -> tuple[float, float]:
    x1, y1, x2, y2 = design.outline
    return float(rng.uniform(x1 + margin, x2 - margin)), float(rng.uniform(y1 + margin, y2 - margin))


def _wander(design: Design, rng: np.random.Generator, *, step: float, count: int, bend: float) -> Points:
    start = np.array(_somewhere(design, 60, rng))
    headings = float(rng.uniform(0, 2 * np.pi)) + np.cumsum(rng.normal(0, bend, count))
    path = start + np.cumsum(step * np.stack([np.cos(headings), np.sin(headings)], axis=1), axis=0)
    x1, y1, x2, y2 = design.outline
    return np.asarray(np.clip(path, (x1 + 2, y1 + 2), (x2 - 2, y2 - 2)), np.float64)
