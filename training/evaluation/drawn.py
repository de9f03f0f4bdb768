"""Drawn boards as a test set: what a simulated camera sees of them, and the truth."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from simulator.bare_board import DEFECT_CLASSES, DrawnBoard, draw_board
from training.boxes import Image
from training.datasets.form import Sample

#: Training draws seeds up to 2**62 at random; a clash with these has no chance worth counting.
_FIRST_SEED = 2**62


def drawn_samples(count: int, width: int = 640, height: int = 480) -> Iterator[Sample]:
    """That many boards, each with one to six defects, seen with slight noise through JPEG of quality 85."""
    for index in range(count):
        rng = np.random.default_rng(index)
        defects = [str(name) for name in rng.choice(DEFECT_CLASSES, int(rng.integers(1, 7)))]
        board = draw_board(_FIRST_SEED + index, width, height, defects)
        boxes = np.array([(d.x1, d.y1, d.x2, d.y2) for d in board.defects], float)
        yield Sample(str(index), _seen(board, rng), boxes, tuple(d.class_name for d in board.defects))


def clean_boards(count: int, width: int = 640, height: int = 480) -> Iterator[Image]:
    """That many defect-free boards, seen in the same way."""
    for index in range(count):
        yield _seen(draw_board(_FIRST_SEED - 1 - index, width, height), np.random.default_rng(index))


def _seen(board: DrawnBoard, rng: np.random.Generator) -> Image:
    noisy = np.clip(board.image[:, :, 0] + rng.normal(0, 3, board.image.shape[:2]), 0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)
