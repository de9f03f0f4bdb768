"""A network that needs no weights: its features are the colours and the contrast of blocks, and it sees one defect."""

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import DetectOptions
from inference_subscriber.engines.network import NetworkEngine
from pcb_bus.contract.messages import ModelRef

Floats = npt.NDArray[np.float32]


class BlockColours(NetworkEngine):
    """Finds a `short` of 20 x 20 pixels around `defect` in every picture."""

    def __init__(self, defect: tuple[float, float] = (320, 240), strides: tuple[int, ...] = (8, 16)) -> None:
        options = DetectOptions(features=strides, doubtful=0.1)
        super().__init__(("short",), ModelRef(name="block-colours", sha256="b" * 64), options)
        self.best_batch = 2
        self.strides = strides
        self._anchor = np.array([*defect, 20, 20, 0.9], np.float32).reshape(1, 5, 1)
        self._maps: dict[int, Floats] = {}

    def prepare(self, count: int, height: int, width: int) -> None:
        """Nothing to do."""

    def run(self, batch: npt.NDArray[np.uint8]) -> Floats:
        self._maps = {stride: np.stack([_blocks(image, stride) for image in batch]) for stride in self.strides}
        return np.repeat(self._anchor, len(batch), axis=0)

    def features(self) -> Mapping[int, Floats]:
        return self._maps


def _blocks(image: npt.NDArray[np.uint8], stride: int) -> Floats:
    """Mean and spread of each colour in each block, (6, height, width)."""
    size = image.shape[1] // stride, image.shape[0] // stride
    pixels = image.astype(np.float32)
    mean = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    square = cv2.resize(pixels**2, size, interpolation=cv2.INTER_AREA)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    return np.ascontiguousarray(np.concatenate([mean, spread], axis=2).transpose(2, 0, 1), np.float32)
