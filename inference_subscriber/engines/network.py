"""The part that all engines share: fit the images, run the bare network, read its output."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import DetectOptions, Findings, Image, Thresholds
from inference_subscriber.engines.calibration import UNCALIBRATED
from inference_subscriber.engines.features import Look
from inference_subscriber.engines.letterbox import Fit, fit, to_batch
from inference_subscriber.engines.yolo import YoloReader
from inference_subscriber.errors import EngineFault
from pcb_bus.contract.messages import ModelRef
from pcb_bus.errors import ConfigError


class NetworkEngine(ABC):
    """An engine around a network that maps (n, height, width, 3) bytes to (n, 4 + classes, anchors)."""

    best_batch = 1
    strides: tuple[int, ...] = ()

    def __init__(self, names: tuple[str, ...], model: ModelRef, options: DetectOptions) -> None:
        self.names = names
        self.model = model
        self._max_input = options.max_input
        self._iou = options.iou
        self.calibration = options.calibration or UNCALIBRATED
        self._doubtful = None if options.doubtful is None else self._reader_of(Thresholds(options.doubtful))
        self.use(options.thresholds)

    @abstractmethod
    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run the network. The array may be overwritten by the next run.

        Raises:
            EngineFault: it failed.
        """

    def features(self) -> Mapping[int, npt.NDArray[np.float32]]:
        """The feature maps of the last run (n, channels, height, width) by stride; the next may overwrite them."""
        return {}

    def use(self, thresholds: Thresholds) -> None:
        """See `Engine`."""
        self._reader = self._reader_of(thresholds)

    def _reader_of(self, thresholds: Thresholds) -> YoloReader:
        return YoloReader(self.names, thresholds, self._iou, self.calibration)

    def detect(self, images: Sequence[Image]) -> list[Findings]:
        """See `Engine`."""
        return [each.findings for each in self.look(images)]

    def look(self, images: Sequence[Image]) -> list[Look]:
        """See `FeatureEngine`. Images of one input shape run together.

        Numbers that are none (half precision may overflow) find no defect: such a board must not pass for normal.
        """
        reader = self._reader  # another may take its place meanwhile
        fits = [fit(image.shape[1], image.shape[0], self._max_input) for image in images]
        found: dict[int, Look] = {}
        shapes = {each.input_shape for each in fits}
        for shape in shapes:
            members = [index for index, each in enumerate(fits) if each.input_shape == shape]
            output = self.run(to_batch([images[index] for index in members], [fits[index] for index in members]))
            given = self.features()
            if not all(np.isfinite(each).all() for each in (output, *given.values())):
                raise EngineFault("the network gives numbers that are not finite")
            maps = {stride: each.copy() if len(shapes) > 1 else each for stride, each in given.items()}
            for slot, index in enumerate(members):
                features = {stride: _within(each[slot], stride, fits[index]) for stride, each in maps.items()}
                found[index] = Look(
                    Findings(reader.read(output[slot], fits[index])),
                    features,
                    self._doubtful.read(output[slot], fits[index]) if self._doubtful else (),
                )
        return [found[index] for index in range(len(images))]

    @abstractmethod
    def prepare(self, count: int, height: int, width: int) -> None:
        """Batches of `count` inputs of this size will come."""

    def warm_up(self, frame_sizes: Iterable[tuple[int, int]], most: int) -> None:
        """Run blank frames of these widths and heights, in batches up to `most`, so that no board pays for set-up.

        Raises:
            ConfigError: the network is not a plain detector of its classes.
        """
        for width, height in frame_sizes:
            shape = fit(width, height, self._max_input).input_shape
            for count in range(1, min(most, self.best_batch) + 1):
                self.prepare(count, *shape)
                self._try(np.zeros((count, *shape, 3), np.uint8))

    def _try(self, batch: npt.NDArray[np.uint8]) -> None:
        try:
            output = self.run(batch)
        except EngineFault as fault:
            raise ConfigError(f"inference.model: {self.model.name} does not run: {fault}") from None
        if output.ndim != 3 or output.shape[1] != 4 + len(self.names):
            wanted = f"{len(batch)} x {4 + len(self.names)} x anchors"
            shape = " x ".join(map(str, output.shape))
            raise ConfigError(f"inference.model: {self.model.name} gives {shape} numbers, a detector gives {wanted}")


def _within(plane: npt.NDArray[np.float32], stride: int, fitted: Fit) -> npt.NDArray[np.float32]:
    """The places of a feature map that lie on the image."""
    return plane[:, : -(-fitted.scaled_height // stride), : -(-fitted.scaled_width // stride)]
