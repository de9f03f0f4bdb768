"""Pictures to JPEG: as they came where that is possible, otherwise encoded once."""

import logging
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_publisher import metrics
from edge_publisher.sources import Picture
from pcb_bus.runtime.logs import Throttle

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A JPEG and its size in pixels."""

    width: int
    height: int
    jpeg: bytes = field(repr=False)


class Encoder:
    """Encodes at `quality`, scaled down so that no side is longer than `max_side`; never up, never stretched.

    `quality` (1 to 100) may be set from any thread; the next picture has it.
    """

    def __init__(self, quality: int, max_side: int) -> None:
        self.quality = quality
        self._max_side = max_side
        self._last: tuple[Picture, Encoded | None] | None = None
        self._complaints = Throttle()

    def encode(self, picture: Picture) -> Encoded | None:
        """None (counted and logged) if its pixels make no picture. The last one is remembered: live view is free."""
        if self._last is None or self._last[0] is not picture:
            self._last = picture, self._encode(picture)
        return self._last[1]

    def _encode(self, picture: Picture) -> Encoded | None:
        try:
            if picture.jpeg is not None and max(picture.width, picture.height) <= self._max_side:
                return Encoded(picture.width, picture.height, picture.jpeg)
            return self._compress(self._fit(_pixels(picture)))
        except (cv2.error, ValueError) as error:
            metrics.NOT_ENCODED.inc()
            self._complain(f"a picture of {picture.width}x{picture.height} cannot be encoded: {error}")
            return None

    def _complain(self, text: str) -> None:
        held = self._complaints.admit("encode", text)
        if held is not None:
            log.warning("%s (%d more)", text, held)

    def _fit(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        scale = self._max_side / max(width, height)
        if scale >= 1:
            return image
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def _compress(self, image: np.ndarray) -> Encoded:
        done, buffer = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        if not done:
            raise ValueError("no JPEG comes of it")
        height, width = image.shape[:2]
        return Encoded(width, height, buffer.tobytes())


def _pixels(picture: Picture) -> np.ndarray:
    if picture.image is not None:
        image: np.ndarray | None = picture.image
    else:
        image = cv2.imdecode(np.frombuffer(picture.jpeg or b"", np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.size == 0:
        raise ValueError("it has no pixels")
    return image
