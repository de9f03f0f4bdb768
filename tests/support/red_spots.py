"""A detector that needs no weights, and pictures for it."""

import threading
from collections.abc import Sequence

import cv2
import numpy as np

from inference_subscriber.engines.base import Detection, Findings, Image, Thresholds
from inference_subscriber.errors import EngineFault
from pcb_bus.contract.messages import ModelRef

_SURE = 0.9


class RedSpotEngine:
    """Takes one red spot for a short, and fails on a blue image."""

    names = ("short",)
    model = ModelRef(name="red-spots", sha256="0" * 64)
    best_batch = 8

    def __init__(self) -> None:
        self.may_look = threading.Event()
        self.may_look.set()
        self._least = 0.0

    def use(self, thresholds: Thresholds) -> None:
        self._least = thresholds.of("short")

    def detect(self, images: Sequence[Image]) -> list[Findings]:
        self.may_look.wait(30)
        return [self._look(image) for image in images]

    def _look(self, image: Image) -> Findings:
        if image[..., 2].max() < 20:
            raise EngineFault("too blue to see")
        red = (image[..., 2] > 180) & (image[..., 0] < 90) & (image[..., 1] < 90)
        if not red.any() or self._least > _SURE:
            return Findings()
        y, x = np.nonzero(red)
        box = (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1))
        return Findings((Detection(*box, confidence=_SURE, class_name="short"),))


def jpeg_of(image: Image) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def board_jpeg(*, short: bool = False) -> bytes:
    """A green board of 64x48 pixels; with a `short`, a red spot at x 16 to 32, y 8 to 24."""
    image = np.full((48, 64, 3), (60, 120, 40), np.uint8)
    if short:
        image[8:24, 16:32] = (0, 0, 255)
    return jpeg_of(image)
