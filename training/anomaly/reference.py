"""The mean of the good boards, and where each of them lies against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from inference_subscriber.anomaly.registration import Matrix, Pose, Registrar
from inference_subscriber.engines.base import Image

_FIRST_GUESSES = 3
_AVERAGED = 40


@dataclass(frozen=True, eq=False)
class Registered:
    """A reference picture, and each board laid as the board in it; None where a board was not found."""

    reference: Image
    boards: Sequence[Image | None]

    @property
    def unaligned(self) -> list[int]:
        return [index for index, board in enumerate(self.boards) if board is None]


def register(images: Sequence[Image]) -> Registered:
    """The mean picture of boards of one size, which lies as they do on average, and the boards registered to it."""
    first, poses = _first_guess(images)
    reference = _mean(images, poses, _middle(first, poses))
    registrar = Registrar(reference)
    final = [registrar.align(image) for image in images]
    boards = [
        registrar.unwarp(image, pose) if pose.aligned else None for image, pose in zip(images, final, strict=True)
    ]
    return Registered(reference, boards)


def _first_guess(images: Sequence[Image]) -> tuple[Image, list[Pose]]:
    """The first of a few boards to which more than half can be aligned, else the best of them."""
    best: tuple[Image, list[Pose]] | None = None
    most = -1
    for candidate in images[:: max(1, len(images) // _FIRST_GUESSES)][:_FIRST_GUESSES]:
        registrar = Registrar(candidate)
        poses = [registrar.align(image) for image in images]
        aligned = sum(pose.aligned for pose in poses)
        if aligned > most:
            best, most = (candidate, poses), aligned
        if 2 * aligned > len(images):
            break
    assert best is not None
    return best


def _middle(first: Image, poses: Sequence[Pose]) -> Matrix:
    """From the first guess to where the boards lie on average."""
    height, width = first.shape[:2]
    corners = np.array([[(0, 0), (width, 0), (width, height), (0, height)]], np.float32)
    seen = [cv2.perspectiveTransform(corners, pose.matrix) for pose in poses if pose.aligned]
    return np.asarray(cv2.getPerspectiveTransform(corners, np.mean(seen, axis=0, dtype=np.float32)), np.float64)


def _mean(images: Sequence[Image], poses: Sequence[Pose], middle: Matrix) -> Image:
    height, width = images[0].shape[:2]
    back = np.linalg.inv(middle)
    aligned = [(image, pose) for image, pose in zip(images, poses, strict=True) if pose.aligned][:_AVERAGED]
    total = np.zeros((height, width, 3), np.float32)
    for image, pose in aligned:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        total += cv2.warpPerspective(image, pose.matrix @ back, (width, height), None, flags, cv2.BORDER_REPLICATE)
    return np.asarray(np.rint(total / len(aligned)), np.uint8)
