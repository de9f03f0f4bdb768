"""Anti-aliased shapes on a colour image, placed by a pose. Lengths are pixels, angles degrees, colours BGR."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Points = npt.NDArray[np.float64]
Box = tuple[int, int, int, int]

_ANGLES = np.linspace(0, 2 * math.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1) / 2
_SHIFT = 4  # fractional bits of cv2's coordinates


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a part lies: its centre, and how far it is turned clockwise."""

    x: float
    y: float
    angle: float = 0.0

    def place(self, points: Points | Sequence[tuple[float, float]]) -> Points:
        """Points of the part's own frame (n x 2) in the image."""
        placed: Points = np.asarray(points, np.float64) @ _turn(self.angle)
        placed += (self.x, self.y)
        return placed

    def rectangle(self, x: float, y: float, width: float, height: float, cut: float = 0.0) -> Points:
        """A rectangle around (x, y) of the part's own frame, its corners cut off by `cut`."""
        w, h, c = width / 2, height / 2, min(cut, width / 2, height / 2)
        left, right, top, bottom = x - w, x + w, y - h, y + h
        upper = [(left, top + c), (left + c, top), (right - c, top), (right, top + c)]
        lower = [(right, bottom - c), (right - c, bottom), (left + c, bottom), (left, bottom - c)]
        return self.place([*upper, *lower])

    def ellipse(self, x: float, y: float, width: float, height: float) -> Points:
        return self.place(_CIRCLE * (width, height) + (x, y))


@lru_cache(maxsize=1024)
def _turn(angle: float) -> Points:
    """A board turns each part, and draws it in many shapes."""
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    return np.array([[cosine, sine], [-sine, cosine]])


def fill(image: Image, outline: Points, colour: Colour) -> None:
    cv2.fillPoly(image, [_fixed(outline)], colour, cv2.LINE_AA, _SHIFT)


def stroke(image: Image, path: Points, colour: Colour, thickness: int = 1, *, closed: bool = False) -> None:
    cv2.polylines(image, [_fixed(path)], closed, colour, thickness, cv2.LINE_AA, _SHIFT)


def write(image: Image, text: str, at: tuple[float, float], colour: Colour, scale: float = 0.32) -> None:
    cv2.putText(image, text, (round(at[0]), round(at[1])), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 1, cv2.LINE_AA)


def blend(image: Image, cover: npt.NDArray[np.float32], colour: Colour) -> None:
    """Mix `colour` into the image in place; `cover` (height x width) is its share, 0 to 1."""
    there = cover > 0.004
    share = cover[there][:, None]
    image[there] = np.asarray(image[there] * (1 - share) + np.array(colour, np.float32) * share, np.uint8)


def mask_of(shape: tuple[int, ...], outlines: Iterable[Points], blur: float = 0.0) -> npt.NDArray[np.float32]:
    """Cover of some outlines, height x width, 0 to 1."""
    mask = np.zeros(shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [_fixed(outline)], 255, cv2.LINE_AA, _SHIFT)
    soft = cv2.GaussianBlur(mask, (0, 0), blur) if blur else mask
    return np.asarray(soft, np.float32) / np.float32(255)


def around(outline: Points, margin: float) -> Box:
    """The box around points, whole pixels, the right and lower edges exclusive."""
    low, high = np.floor(outline.min(axis=0) - margin), np.ceil(outline.max(axis=0) + margin)
    return int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1


def shade(colour: Colour, factor: float) -> Colour:
    b, g, r = (int(min(255, max(0, channel * factor))) for channel in colour)
    return b, g, r


def vary(colour: Colour, rng: np.random.Generator, spread: float = 8.0) -> Colour:
    b, g, r = (int(min(255, max(0, channel + rng.normal(0, spread)))) for channel in colour)
    return b, g, r


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)
