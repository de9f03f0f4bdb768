"""What a camera does to a board: exposure, blur, noise and JPEG. Images are uint8, grey or BGR."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from training.boxes import Image

_WHITE_BALANCE = 0.04

Change = Callable[[Image, np.random.Generator], Image]


def photograph(image: Image, rng: np.random.Generator) -> Image:
    """The image as an imperfect camera may see it; half of the images stay as they are."""
    if rng.random() < 0.5:
        return image
    for share, change in _CHANGES:
        if rng.random() < share:
            image = change(image, rng)
    return image


def _expose(image: Image, rng: np.random.Generator) -> Image:
    black, white = rng.uniform(0, 60), rng.uniform(190, 255)
    ramp = np.linspace(black, white, 256)
    if image.ndim == 2:
        return np.asarray(cv2.LUT(image, ramp.astype(np.uint8)), np.uint8)
    balance = rng.normal(1, _WHITE_BALANCE, 3)
    ramps = np.clip(ramp[:, None] * balance, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, ramps[None]), np.uint8)


def _blur(image: Image, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.1))), np.uint8)


def _add_noise(image: Image, rng: np.random.Generator) -> Image:
    noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(1, 9))
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _compress(image: Image, rng: np.random.Generator) -> Image:
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 96))])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_UNCHANGED), np.uint8)


_CHANGES: tuple[tuple[float, Change], ...] = ((0.7, _expose), (0.4, _blur), (0.5, _add_noise), (0.6, _compress))
