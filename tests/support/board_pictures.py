"""A picture of a board on a belt, and what a line does to it."""

from functools import cache
from typing import Any

import cv2
import numpy as np

from pcb_bus.contract.pictures import END, START_OF_SCAN, segments
from pcb_bus.seeing.jpeg import Image

WIDTH, HEIGHT = 640, 480


@cache
def good() -> Image:
    """A board of pads, tracks and dark parts on a belt, through a lens, with noise."""
    random = np.random.default_rng(7)
    image = np.full((HEIGHT, WIDTH, 3), (58, 60, 62), np.uint8)
    cv2.rectangle(image, (60, 40), (580, 440), (57, 110, 52), -1)
    for x, y in random.integers((80, 60), (540, 410), (60, 2)).tolist():
        cv2.rectangle(image, (x, y), (x + 14, y + 8), (150, 170, 180), -1)
    for x, y in random.integers((80, 60), (500, 380), (8, 2)).tolist():
        cv2.rectangle(image, (x, y), (x + 50, y + 40), (30, 28, 26), -1)
    return noisy(cv2.GaussianBlur(image, (0, 0), 0.8))


def board_for_a_belt(length: int, seed: int) -> Image:
    """From edge to edge, as `simulator.moving_belt` takes it, and drawn at once."""
    board = np.full((255, length, 3), (20, 90, 10), np.uint8)
    parts = np.random.default_rng(seed).integers(8, (length - 20, 240, 256, 256, 256), (length + 60, 5))
    for x, y, *colour in parts.tolist():
        cv2.rectangle(board, (x, y), (x + 10, y + 6), colour, -1)
    return board


def noisy(image: Any, sigma: float = 2.0) -> Image:
    noise = np.random.default_rng(1).normal(0, sigma, image.shape)
    return np.asarray(np.clip(image + noise, 0, 255), np.uint8)


def recoded(image: Any, quality: int = 85) -> Image:
    """As an edge sends it on."""
    data = np.frombuffer(jpeg_of(image, quality), np.uint8)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def flat(*colour: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), colour, np.uint8)


def jpeg_of(image: Any, quality: int = 85) -> bytes:
    data = cv2.imencode(".jpg", np.asarray(image, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return data.tobytes()


def cut(jpeg: bytes, share: float) -> bytes:
    """Only so much of its data, but ended as a whole one is."""
    header = next(at for marker, at in segments(jpeg) if marker == START_OF_SCAN)
    start = header + int.from_bytes(jpeg[header : header + 2])
    return jpeg[: start + round(share * (len(jpeg) - start))] + END
