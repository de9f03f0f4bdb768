"""The bodies of parts, seen from above."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.assembled.ink import Colour, Image, Pose, fill, shade, stroke, vary, write
from simulator.assembled.parts import Part, PartKind

Painter = Callable[[Image, PartKind, Pose, str, np.random.Generator], None]

_PRINT = (196, 200, 200)
_METAL = (176, 180, 182)


def paint_body(image: Image, part: Part, pose: Pose, rng: np.random.Generator) -> None:
    """Paint the body of a part where it really lies, which is a little beside its place in the design."""
    PAINTERS[part.kind.look](image, part.kind, pose, part.name, rng)


def _block(image: Image, pose: Pose, size: tuple[float, float], colour: Colour, cut: float = 1.0) -> None:
    """A block with lit upper and dark lower edges."""
    width, height = size
    fill(image, pose.rectangle(0, 0, width, height, cut), shade(colour, 0.78))
    fill(image, pose.rectangle(0, 0, width - 2.5, height - 2.5, cut), colour)
    stroke(
        image, pose.place([(-width / 2 + 2, -height / 2 + 1.5), (width / 2 - 2, -height / 2 + 1.5)]), shade(colour, 1.3)
    )


def _ends(image: Image, kind: PartKind, pose: Pose, share: float, colour: Colour) -> None:
    """Metal caps at both ends."""
    cap = kind.width * share
    for side in (-1, 1):
        at = side * (kind.width - cap) / 2
        fill(image, pose.rectangle(at, 0, cap, kind.height, 1.0), shade(colour, 0.85))
        fill(image, pose.rectangle(at, 0, cap - 1.5, kind.height - 2.5, 1.0), colour)


def _resistor(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    _block(image, pose, (kind.width, kind.height), vary((38, 36, 34), rng, 4))
    _ends(image, kind, pose, 0.2, vary(_METAL, rng))
    for x in (-0.16, 0.0, 0.16):
        stroke(image, pose.place([(x * kind.width, -kind.height * 0.2), (x * kind.width, kind.height * 0.2)]), _PRINT)


def _capacitor(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    _block(image, pose, (kind.width, kind.height), vary((104, 142, 172), rng, 7), 2.0)
    _ends(image, kind, pose, 0.22, vary(_METAL, rng))


def _diode(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    _block(image, pose, (kind.width, kind.height), vary((44, 42, 42), rng, 4))
    fill(image, pose.rectangle(-kind.width * 0.3, 0, kind.width * 0.12, kind.height - 2), _PRINT)


def _lamp(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    _block(image, pose, (kind.width, kind.height), vary((206, 212, 210), rng, 6))
    _ends(image, kind, pose, 0.18, vary(_METAL, rng))
    fill(image, pose.ellipse(0, 0, kind.height * 0.7, kind.height * 0.7), vary((120, 216, 226), rng, 6))
    fill(image, pose.rectangle(-kind.width * 0.27, 0, 3, kind.height - 4), (70, 150, 60))


def _transistor(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    for each in kind.terminals:
        fill(image, pose.rectangle(each.x, each.y * 0.82, 5, 8), _METAL)
    _block(image, pose, (kind.width, kind.height), vary((42, 40, 40), rng, 4))
    write(image, "1A", tuple(pose.place([(-8, 4)])[0]), (150, 150, 150), 0.28)


def _crystal(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    colour = vary((172, 174, 176), rng, 6)
    fill(image, pose.rectangle(0, 0, kind.width, kind.height, kind.height / 2.2), shade(colour, 0.7))
    fill(image, pose.rectangle(0, -0.5, kind.width - 4, kind.height - 4, kind.height / 2.4), colour)
    write(image, "16.0", (pose.x - 11, pose.y + 4), (90, 92, 92), 0.3)


def _chip(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    for each in kind.terminals:
        lead_w, lead_h = (5.0, 9.0) if each.inward[0] == 0 else (9.0, 5.0)
        at = (each.x + 3 * each.inward[0], each.y + 3 * each.inward[1])
        fill(image, pose.rectangle(*at, lead_w, lead_h), vary(_METAL, rng, 5))
    _block(image, pose, (kind.width, kind.height), vary((46, 44, 42), rng, 4), 2.0)
    corner = pose.place([(-kind.width / 2 + 7, kind.height / 2 - 7)])[0]
    fill(image, Pose(float(corner[0]), float(corner[1])).ellipse(0, 0, 6, 6), (92, 92, 92))
    write(image, name + "BL", (pose.x - 13, pose.y + 3), (140, 142, 142), 0.32)


def _can(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    size = kind.height
    _block(image, pose, (size, size), vary((34, 34, 34), rng, 3), 5.0)
    metal = vary((190, 192, 192), rng, 6)
    fill(image, pose.ellipse(0, 0, size - 4, size - 4), shade(metal, 0.75))
    fill(image, pose.ellipse(-0.7, -0.7, size - 7, size - 7), metal)
    arc = pose.ellipse(0, 0, size - 8, size - 8)
    stripe = arc[(np.arange(24) >= 9) & (np.arange(24) <= 15)]
    fill(image, stripe, (40, 40, 40))
    write(image, "47", (pose.x - 2, pose.y + 4), (70, 70, 70), 0.34)


def _coil(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    _block(image, pose, (kind.height + 2, kind.height), vary((70, 68, 66), rng, 4), 4.0)
    fill(image, pose.ellipse(0, 0, kind.height * 0.72, kind.height * 0.72), (44, 42, 42))
    write(image, "100", (pose.x - 9, pose.y + 4), (170, 170, 170), 0.32)


def _connector(image: Image, kind: PartKind, pose: Pose, name: str, rng: np.random.Generator) -> None:
    for each in kind.terminals:
        fill(image, pose.rectangle(each.x, each.y - 3, 5, 12), vary(_METAL, rng, 5))
    colour = vary((208, 214, 216), rng, 5)
    _block(image, pose, (kind.width, kind.height), colour, 2.0)
    fill(image, pose.rectangle(0, -1, kind.width - 10, kind.height - 10), shade(colour, 0.72))
    for each in kind.terminals:
        fill(image, pose.rectangle(each.x, -1, 4, 6), (92, 140, 160))


PAINTERS: dict[str, Painter] = {
    "resistor": _resistor,
    "capacitor": _capacitor,
    "diode": _diode,
    "lamp": _lamp,
    "transistor": _transistor,
    "crystal": _crystal,
    "chip": _chip,
    "can": _can,
    "coil": _coil,
    "connector": _connector,
}
