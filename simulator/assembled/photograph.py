"""From the board to the picture that a webcam takes of it: place under the camera, light, optics, sensor."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from simulator.assembled.ink import Box, Image

_BELT = (52, 56, 60)


@dataclass(frozen=True, slots=True)
class Conditions:
    """How much the pictures of one station differ. Lengths are pixels of the picture, angles degrees."""

    shift: float = 4.0
    turn: float = 0.7
    keystone: float = 3.0
    exposure: float = 0.08
    gradient: float = 0.16
    white_balance: float = 0.05
    defocus: tuple[float, float] = (0.4, 1.0)
    motion: float = 2.0
    noise: tuple[float, float] = (1.5, 4.0)
    jpeg_quality: tuple[int, int] = (75, 95)


def photograph(
    board: Image, boxes: list[Box], rng: np.random.Generator, conditions: Conditions | None = None
) -> tuple[Image, list[Box]]:
    """The picture of a board, and where the boxes are in it."""
    chosen = conditions or Conditions()
    height, width = board.shape[:2]
    matrix = _view(width, height, rng, chosen)
    seen = np.asarray(
        cv2.warpPerspective(board, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=_BELT), np.uint8
    )
    picture = _optics(_light(seen, rng, chosen), rng, chosen)
    return _sensor(picture, rng, chosen), [_moved(box, matrix, width, height) for box in boxes]


def _view(width: int, height: int, rng: np.random.Generator, conditions: Conditions) -> npt.NDArray[np.float64]:
    """The homography of a board that lies a little aside, turned and tilted."""
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    angle = np.radians(rng.uniform(-conditions.turn, conditions.turn))
    turn = np.array([(np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))])
    centre = np.array([width / 2, height / 2])
    moved = (corners - centre) @ turn.T + centre + rng.uniform(-conditions.shift, conditions.shift, 2)
    moved += rng.uniform(-conditions.keystone, conditions.keystone, (4, 2))
    return np.asarray(cv2.getPerspectiveTransform(corners, moved.astype(np.float32)), np.float64)


def _light(image: Image, rng: np.random.Generator, conditions: Conditions) -> npt.NDArray[np.float32]:
    """Exposure, a lamp that stands on one side, vignetting, white balance."""
    height, width = image.shape[:2]
    xs = np.linspace(-1, 1, width, dtype=np.float32)[None]
    ys = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, conditions.gradient)
    light = 1 + slope * (np.cos(angle) * xs + np.sin(angle) * ys) - 0.06 * (xs**2 + ys**2)
    gains = rng.normal(1, conditions.white_balance, 3) * rng.normal(1, conditions.exposure)
    lit = np.multiply(image, light.astype(np.float32)[..., None], dtype=np.float32)
    lit *= gains.astype(np.float32)
    return np.asarray(lit, np.float32)


def _optics(
    image: npt.NDArray[np.float32], rng: np.random.Generator, conditions: Conditions
) -> npt.NDArray[np.float32]:
    soft = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(*conditions.defocus)))
    length = float(rng.uniform(0, conditions.motion))
    if length < 1:
        return np.asarray(soft, np.float32)
    kernel = np.zeros((5, 5), np.float32)
    angle = float(rng.uniform(0, np.pi))
    reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, end = np.round((2 - reach) * 16).astype(int), np.round((2 + reach) * 16).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0, 1, cv2.LINE_8, 4)
    return np.asarray(cv2.filter2D(soft, -1, kernel / kernel.sum()), np.float32)


def _sensor(image: npt.NDArray[np.float32], rng: np.random.Generator, conditions: Conditions) -> Image:
    noise = rng.standard_normal(image.shape, np.float32)
    noise *= np.float32(rng.uniform(*conditions.noise))
    digital = cv2.add(image, noise, dtype=cv2.CV_8U)
    quality = int(rng.integers(*conditions.jpeg_quality))
    packed = cv2.imencode(".jpg", digital, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def _moved(box: Box, matrix: npt.NDArray[np.float64], width: int, height: int) -> Box:
    x1, y1, x2, y2 = box
    corners = np.array([[(x1, y1), (x2, y1), (x2, y2), (x1, y2)]], np.float64)
    seen = cv2.perspectiveTransform(corners, matrix)[0]
    low = np.clip(np.floor(seen.min(axis=0)), 0, (width, height))
    high = np.clip(np.ceil(seen.max(axis=0)), 0, (width, height))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
