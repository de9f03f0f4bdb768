"""Pictures to JPEG: as they came where that is possible, otherwise encoded once."""

import logging
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_publisher import metrics
from edge_publisher.sources import Picture
from pcb_bus.contract.codec import MAX_BINARY_BYTES
from pcb_bus.runtime.logs import Throttle

log = logging.getLogger(__name__)

MOST_BYTES = MAX_BINARY_BYTES - 64 * 1024  # with what frame and evidence add to it, the broker takes it
_LEAST_QUALITY = 40


@dataclass(frozen=True, slots=True)
class Encoded:
    """A JPEG and its size in pixels."""

    width: int
    height: int
    jpeg: bytes = field(repr=False)


class Encoder:
    """Encodes at `quality`, scaled down so that no side is longer than `max_side`; never up, never stretched.

    What would be too large for the broker has less quality, or fewer pixels.

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
            jpeg, longest = picture.jpeg, max(picture.width, picture.height)
            if jpeg is not None and picture.view is None and longest <= self._max_side and len(jpeg) <= MOST_BYTES:
                return Encoded(picture.width, picture.height, jpeg)
            return self._travelling(_pixels(picture))
        except (cv2.error, ValueError) as error:
            metrics.NOT_ENCODED.inc()
            self._complain(f"a picture of {picture.width}x{picture.height} cannot be encoded: {error}")
            return None

    def _complain(self, text: str) -> None:
        held = self._complaints.admit("encode", text)
        if held is not None:
            log.warning("%s (%d more)", text, held)

    def _travelling(self, image: np.ndarray) -> Encoded:
        """Encoded so that the broker takes it: with less quality where need be, then with fewer pixels."""
        quality, image = self.quality, _scaled(image, self._max_side / max(image.shape[:2]))
        encoded = whole = _compress(image, quality)
        while len(encoded.jpeg) > MOST_BYTES:
            if quality > _LEAST_QUALITY:
                quality = max(_LEAST_QUALITY, quality - 15)
            else:
                image = _scaled(image, 0.8)
            encoded = _compress(image, quality)
        if encoded is not whole:
            self._complain(
                f"a picture of {whole.width}x{whole.height} has {len(whole.jpeg) / 1e6:.1f} MB, more than the broker "
                f"takes: sent as {encoded.width}x{encoded.height} with quality {quality}; lower edge.jpeg_quality or "
                "edge.max_side"
            )
        return encoded


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """Scaled down, never up."""
    if scale >= 1:
        return image
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _compress(image: np.ndarray, quality: int) -> Encoded:
    done, buffer = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("no JPEG comes of it")
    height, width = image.shape[:2]
    return Encoded(width, height, buffer.tobytes())


def _pixels(picture: Picture) -> np.ndarray:
    image = picture.pixels()
    if image is None or image.size == 0:
        raise ValueError("it has no pixels")
    return image
