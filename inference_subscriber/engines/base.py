"""What every detector looks like from outside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.calibration import Calibration
from pcb_bus.contract.messages import ModelRef

Image = npt.NDArray[np.uint8]
"""Height x width x 3, blue, green, red."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One defect, in pixels of the image; x2, y2 lie outside."""

    x1: float
    y1: float
    x2: float
    y2: float
    confidence: float
    class_name: str


@dataclass(frozen=True, slots=True, eq=False)
class Anomaly:
    """How unlike a good board of its product an image is.

    Args:
        score: 0 to 1; 0.5 is the threshold that was calibrated on good boards.
        box: around the hottest region, x1, y1, x2, y2 in pixels of the image; x2, y2 lie outside.
        heat: the score of each place, uint8 (height, width) of a coarse grid over the image, 128 at the threshold.
    """

    score: float
    box: tuple[float, float, float, float]
    heat: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Findings:
    """What one image shows: boxes in falling order of confidence, and how unlike a good board it is, if known."""

    detections: tuple[Detection, ...] = ()
    anomaly: Anomaly | None = None

    @property
    def anomaly_score(self) -> float | None:
        return None if self.anomaly is None else self.anomaly.score


USUAL_THRESHOLD = 0.5
"""Least confidence of a defect where neither the line nor the model says another."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Least confidence of a defect: one for all classes, and exceptions by class.

    Args:
        default: None: each class has the model's own, which its calibration chose.
    """

    default: float | None = None
    by_class: Mapping[str, float] = field(default_factory=dict)

    def of(self, class_name: str, own: Mapping[str, float] | None = None) -> float:
        """`own`: the model's; a class that it leaves out has the usual one."""
        usual = (own or {}).get(class_name, USUAL_THRESHOLD) if self.default is None else self.default
        return self.by_class.get(class_name, usual)


@dataclass(frozen=True, slots=True)
class DetectOptions:
    """How an image is fitted to the network, and which of its boxes count.

    Args:
        thresholds: least confidence, by class.
        iou: overlap above which two boxes of one class are one defect.
        max_input: pixels of the longer side at the network's input; larger images are scaled down.
        calibration: how scores become confidences; None: as the card beside the model says.
        features: strides of the feature maps to hand over, where the model has them; each costs a little time.
        projections: by stride, the matrix (dimensions, channels) that a feature map will be reduced by. An engine that
            can do it within the network, where it costs little, hands over the reduced map.
        doubtful: least confidence of the boxes that are handed over beside those that count; None: no such boxes.
    """

    thresholds: Thresholds = field(default_factory=Thresholds)
    iou: float = 0.5
    max_input: int = 640
    calibration: Calibration | None = None
    features: tuple[int, ...] = ()
    projections: Mapping[int, npt.NDArray[np.float32]] = field(default_factory=dict)
    doubtful: float | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how exactly a network runs.

    Args:
        device: auto, cpu, cuda, cuda:1, or a device of OpenVINO.
        threads: CPU threads; None: the engine's own choice.
        exact: reckon in FP32 although the device has a faster half precision.
    """

    device: str = "auto"
    threads: int | None = None
    exact: bool = False


class Engine(Protocol):
    """Runs one detector. Not for several threads at once."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that it knows."""

    @property
    def model(self) -> ModelRef:
        """Which weights it runs."""

    @property
    def best_batch(self) -> int:
        """How many images at once are worth while."""

    def use(self, thresholds: Thresholds) -> None:
        """They hold from the next `detect` on; any thread."""

    def detect(self, images: Sequence[Image]) -> list[Findings]:
        """The findings of each image, in the same order.

        Raises:
            EngineFault: the network failed on one of them.
        """
