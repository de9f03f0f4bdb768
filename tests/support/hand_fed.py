"""A camera that a test holds in its hand."""

import queue

import cv2
import numpy as np

from edge_publisher.sources import CameraGone, Picture


class HandFed:
    """A `Source`, and what opens it: delivers the pictures that it is given, and dies when told to."""

    def __init__(self) -> None:
        self._given: queue.SimpleQueue[Picture | Exception | None] = queue.SimpleQueue()
        self.opened = 0
        self.closed = 0
        self._open = False

    def __call__(self) -> "HandFed":
        self.opened += 1
        self._open = True
        return self

    def give(self, picture: Picture) -> None:
        self._given.put(picture)

    def die(self, reason: str = "the cable is out") -> None:
        self._given.put(CameraGone(reason))

    def read(self) -> Picture:
        while True:
            given = self._given.get()
            if isinstance(given, Exception):
                raise given
            if given is not None:
                return given
            if not self._open:
                raise CameraGone("closed")

    def close(self) -> None:
        self.closed += 1
        self._open = False
        self._given.put(None)  # wakes a read that waits


def picture(captured_at: int, width: int = 64, height: int = 48, shade: int = 90) -> Picture:
    return Picture(captured_at, width, height, image=np.full((height, width, 3), shade, np.uint8))


def jpeg_of(width: int, height: int, quality: int = 90) -> bytes:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
