"""Runs the product's own engine over labelled pictures: what is measured is what runs on the line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import Detection, DetectOptions, Placement, Thresholds
from inference_subscriber.engines.calibration import Calibration
from inference_subscriber.engines.letterbox import fit, to_batch
from inference_subscriber.engines.yolo import YoloReader
from training.boxes import Image
from training.evaluation.average_precision import Boxed
from training.evaluation.pictures import Picture

_FLOOR = 0.001  # the network's score from which a detection belongs to the precision-recall curve


@dataclass(frozen=True)
class DetectorOptions:
    """How the model is run.

    Args:
        exact: in FP32, so that every machine gives the same figures; else as fast as the line runs it here.
        confidence: least confidence for all classes; None: the model's own thresholds.
        calibration: None: that of the card beside the model.
        max_input: pixels of a picture's longer side at the network's input, at most.
    """

    device: str = "auto"
    threads: int | None = None
    exact: bool = True
    confidence: float | None = None
    calibration: Calibration | None = None
    max_input: int = DetectOptions().max_input


@dataclass(frozen=True)
class Examined:
    """One picture: its truth, all that was found down to the floor, and what the line would call."""

    name: str
    board: str
    truths: Boxed
    found: Boxed
    called: Boxed


class Detector:
    """A model in the line's own engine, one forward pass read at two sets of thresholds.

    Raises ConfigError when the model cannot be used.
    """

    def __init__(self, model: Path, options: DetectorOptions) -> None:
        placement = Placement(options.device, options.threads, options.exact)
        thresholds = Thresholds(options.confidence)
        self._options = DetectOptions(thresholds, max_input=options.max_input, calibration=options.calibration)
        self._engine = open_engine(model, placement, self._options)
        self.calibration, self.model, self.names = self._engine.calibration, self._engine.model, self._engine.names
        floor = self.calibration.confidence(np.array([_FLOOR]))
        self._all = self._reader(Thresholds(float(floor[0])))
        self._line = self._reader(self._options.thresholds)

    def thresholds(self) -> dict[str, float]:
        """Least confidence of each class, as the line would have it."""
        return {name: self._options.thresholds.of(name, self.calibration.thresholds) for name in self.names}

    def examine(self, pictures: Iterable[Picture], class_names: Sequence[str]) -> Iterator[Examined]:
        """Each in turn; classes as indices into `class_names`, all of the model's and the truth's among them."""
        for picture in pictures:
            image = _in_colour(picture.sample.image)
            fitted = fit(image.shape[1], image.shape[0], self._options.max_input)
            rows = self._engine.run(to_batch([image], [fitted]))[0]
            found, called = (_boxed(reader.read(rows, fitted), class_names) for reader in (self._all, self._line))
            yield _examined(picture, found, called, class_names)

    def _reader(self, thresholds: Thresholds) -> YoloReader:
        return YoloReader(self.names, thresholds, self._options.iou, self.calibration)


def _examined(picture: Picture, found: Boxed, called: Boxed, class_names: Sequence[str]) -> Examined:
    sample = picture.sample
    classes = np.array([class_names.index(name) for name in sample.classes], np.int64)
    return Examined(sample.name, picture.board, Boxed(sample.boxes, classes, np.ones(len(classes))), found, called)


def _boxed(each: Sequence[Detection], class_names: Sequence[str]) -> Boxed:
    return Boxed(
        np.array([(d.x1, d.y1, d.x2, d.y2) for d in each], float).reshape(-1, 4),
        np.array([class_names.index(d.class_name) for d in each], np.int64),
        np.array([d.confidence for d in each], float),
    )


def _in_colour(image: Image) -> Image:
    return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
