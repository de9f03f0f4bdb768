"""Fits images to a fully convolutional network and maps its boxes back."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import Image

STRIDE = 32
_GREY = 114


@dataclass(frozen=True, slots=True)
class Fit:
    """How one image lies in the network's input: scaled into its upper left corner, the rest grey."""

    width: int
    height: int
    scaled_width: int
    scaled_height: int

    @property
    def input_shape(self) -> tuple[int, int]:
        """Height and width of the input: multiples of the stride."""
        return _ceil(self.scaled_height), _ceil(self.scaled_width)

    def to_image(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes (n, 4) as x1, y1, x2, y2 of the input, in pixels of the image and inside it."""
        scale = np.array([self.width / self.scaled_width, self.height / self.scaled_height] * 2, np.float32)
        limit = np.array([self.width, self.height] * 2, np.float32)
        clipped: npt.NDArray[np.float32] = np.clip(boxes * scale, 0, limit)
        return clipped


def fit(width: int, height: int, max_input: int) -> Fit:
    """Shrinks so that the longer side is at most `max_input`; never enlarges, for that only costs time."""
    scale = min(1.0, max_input / max(width, height))
    return Fit(width, height, max(1, round(width * scale)), max(1, round(height * scale)))


def to_batch(images: Sequence[Image], fits: Sequence[Fit]) -> npt.NDArray[np.uint8]:
    """One array (n, height, width, 3) of images whose fits have the same input shape."""
    shape = fits[0].input_shape
    if len(images) == 1 and images[0].shape[:2] == shape:
        return images[0][np.newaxis]
    batch = np.full((len(images), *shape, 3), _GREY, np.uint8)
    for slot, image, each in zip(batch, images, fits, strict=True):
        slot[: each.scaled_height, : each.scaled_width] = _scaled(image, each)
    return batch


def _scaled(image: Image, to: Fit) -> npt.NDArray[np.generic]:
    if (to.scaled_width, to.scaled_height) == (to.width, to.height):
        return image
    return cv2.resize(image, (to.scaled_width, to.scaled_height), interpolation=cv2.INTER_AREA)


def _ceil(pixels: int) -> int:
    return -(-pixels // STRIDE) * STRIDE
