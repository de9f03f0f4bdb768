"""Drawn boards of bare copper as grey pictures, with and without a defect, and as cameras see them."""

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.copper import Grey
from simulator.bare_board import DrawnDefect, draw_board

Boxes = npt.NDArray[np.float64]


def grey_board(seed: int, *defects: str) -> tuple[Grey, tuple[DrawnDefect, ...]]:
    board = draw_board(seed, 640, 480, defects)
    return np.asarray(cv2.cvtColor(board.image, cv2.COLOR_BGR2GRAY), np.uint8), board.defects


def box_of(defect: DrawnDefect) -> Boxes:
    return np.array([(defect.x1, defect.y1, defect.x2, defect.y2)], np.float64)


def noisy(picture: Grey, seed: int) -> Grey:
    """Three grey values up or down, with black and white that are not quite."""
    soft = cv2.GaussianBlur(picture, (3, 3), 0.6).astype(np.int64) * 200 // 255 + 30
    noise = np.random.default_rng(seed).integers(-3, 4, picture.shape)
    return np.asarray(np.clip(soft + noise, 0, 255), np.uint8)


def as_jpeg(picture: Grey, quality: int = 85) -> Grey:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
