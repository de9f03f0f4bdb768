"""Scores a detector on labelled images, whole and unscaled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from training.boxes import Image
from training.datasets.form import Sample
from training.evaluation.average_precision import Boxed, ClassScore, score_class
from training.evaluation.decode import DecodeSettings, decode

#: The network alone: an image in, grey or BGR, (4 + classes, anchors) out.
Network = Callable[[Image], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Report:
    """Scores by class and their means over the classes that occur."""

    images: int
    classes: dict[str, ClassScore]

    @property
    def map50(self) -> float:
        return self._mean([score.ap50 for score in self._present()])

    @property
    def map50_95(self) -> float:
        return self._mean([score.ap50_95 for score in self._present()])

    def as_dict(self) -> dict[str, object]:
        """Rounded figures for a model card or a log."""
        return {
            "images": self.images,
            "map50": round(self.map50, 4),
            "map50_95": round(self.map50_95, 4),
            "classes": {name: _rounded(asdict(score)) for name, score in self.classes.items()},
        }

    def _present(self) -> list[ClassScore]:
        return [score for score in self.classes.values() if score.truths]

    @staticmethod
    def _mean(values: Sequence[float]) -> float:
        return sum(values) / len(values) if values else 0.0


def evaluate(
    network: Network,
    samples: Iterable[Sample],
    class_names: Sequence[str],
    settings: DecodeSettings,
    confidence: float = 0.25,
) -> Report:
    """AP by class, and recall and precision at `confidence` and IoU 0.5."""
    truths, found = [], []
    for sample in samples:
        classes = np.array([class_names.index(name) for name in sample.classes], np.int64)
        truths.append(Boxed(sample.boxes, classes, np.ones(len(classes))))
        found.append(decode(network(sample.image), settings))
    scores = {name: score_class(truths, found, index, confidence) for index, name in enumerate(class_names)}
    return Report(len(truths), scores)


def _rounded(score: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in score.items()}
