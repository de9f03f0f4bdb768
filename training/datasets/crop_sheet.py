"""Example crops of a class, each with its box drawn in."""

from __future__ import annotations

import cv2
import numpy as np

from training.boxes import Image
from training.datasets.boards import Board
from training.datasets.examine import Examined

_COUNT, _SIDE, _AROUND, _LEAST = 6, 156, 2.5, 64
_COLOUR = (40, 120, 240)


def examples(examined: Examined, name: str) -> list[tuple[Image, str]]:
    """Up to six crops, 156x156x3, of boxes drawn at random (the same ones each time), with the file's name."""
    where = [(b, i) for b, board in enumerate(examined.boards) for i, each in enumerate(board.classes) if each == name]
    chosen = np.random.default_rng(0).permutation(len(where))[:_COUNT]
    crops = ((examined.boards[b], i) for b, i in (where[k] for k in sorted(chosen)))
    return [(crop_around(board, i), board.entry.image.name) for board, i in crops]


def crop_around(board: Board, index: int) -> Image:
    """The surroundings of one box, with all boxes there."""
    image = cv2.imread(str(board.entry.image), cv2.IMREAD_COLOR)
    if image is None:  # it was readable a moment ago
        return np.zeros((_SIDE, _SIDE, 3), np.uint8)
    x1, y1, x2, y2 = board.boxes[index]
    side = max(_LEAST, _AROUND * max(x2 - x1, y2 - y1))
    zoom = _SIDE / side
    move = np.array([[zoom, 0, _SIDE / 2 - zoom * (x1 + x2) / 2], [0, zoom, _SIDE / 2 - zoom * (y1 + y2) / 2]])
    interpolation = cv2.INTER_LINEAR if zoom > 0.5 else cv2.INTER_AREA
    crop = cv2.warpAffine(image, move, (_SIDE, _SIDE), flags=interpolation, borderValue=(114, 114, 114))
    for each, corners in enumerate(board.boxes):
        left, top, right, bottom = (corners.reshape(2, 2) * zoom + move[:, 2]).ravel().round().astype(int).tolist()
        cv2.rectangle(crop, (left, top), (right, bottom), _COLOUR, 2 if each == index else 1, cv2.LINE_AA)
    return np.asarray(crop, np.uint8)
