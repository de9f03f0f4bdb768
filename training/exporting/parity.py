"""Whether an exported model gives the boxes and scores of its checkpoint, run as the product runs both.

Each detection of one side, after suppression and above the floor, must be among what the other's network gives: of the
same class, no corner further away than the tolerance, nor the score. Where it is, but not among the other's detections,
floor or suppression fell the other way for want of a hair: counted as borderline, no fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import Detection, DetectOptions, Thresholds
from inference_subscriber.engines.calibration import UNCALIBRATED
from inference_subscriber.engines.letterbox import Fit, fit, to_batch
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.engines.yolo import YoloReader
from training.boxes import Image
from training.errors import ParityError

_MAX_INPUT = 640
_NAMED = 5
_LEAST_FLOOR = 1e-4


@dataclass(frozen=True)
class Tolerance:
    """How far corners may lie apart (pixels of the image), and scores; floor: least score of a detection compared."""

    box_px: float = 1.0
    score: float = 0.02
    floor: float = 0.25

    def lowered_to(self, floor: float) -> Tolerance:
        """For a detector that calls nothing so surely: the tolerance of scores shrinks with the floor."""
        return Tolerance(self.box_px, self.score * floor / self.floor, floor)


@dataclass(frozen=True)
class Deviation:
    """A detection that the other side lacks, and how far the nearest that it has lies from it."""

    image: str
    side: str
    class_name: str
    score: float
    box_px: float
    score_difference: float

    def __str__(self) -> str:
        return (
            f"{self.image}: {self.class_name} {self.score:.3f} of the {self.side}: "
            f"the nearest lies {self.box_px:.2f} px and {self.score_difference:.3f} away"
        )


@dataclass
class Parity:
    """What a comparison found. `borderline`: the networks agree, but floor or suppression fell the other way."""

    tolerance: Tolerance
    images: int = 0
    detections: int = 0
    borderline: int = 0
    worst_box_px: float = 0.0
    worst_score: float = 0.0
    deviations: list[Deviation] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.detections > 0 and not self.deviations

    def worst(self) -> list[Deviation]:
        """The worst deviations, for a message."""
        limit = self.tolerance
        return sorted(self.deviations, key=lambda d: -max(d.box_px / limit.box_px, d.score_difference / limit.score))[
            :_NAMED
        ]

    def as_dict(self) -> dict[str, Any]:
        return {
            "holds": self.holds,
            "images": self.images,
            "detections": self.detections,
            "borderline": self.borderline,
            "worst_box_px": round(self.worst_box_px, 4),
            "worst_score": round(self.worst_score, 5),
            "deviations": len(self.deviations),
            "worst_deviations": [asdict(deviation) for deviation in self.worst()],
        }


@dataclass(frozen=True)
class Output:
    """What a network gives for one image: (4 + classes, anchors), and how the image lay in its input."""

    image: str
    fitted: Fit
    rows: npt.NDArray[np.float32]

    def boxes(self) -> npt.NDArray[np.float32]:
        """Corners in pixels of the image, (anchors, 4)."""
        centre, half = self.rows[:2].T, self.rows[2:4].T / 2
        return self.fitted.to_image(np.hstack([centre - half, centre + half]))


def outputs(engine: NetworkEngine, images: Iterable[tuple[str, Image]]) -> list[Output]:
    """The network's outputs for (name, BGR image) pairs. Raises ParityError for numbers that are none."""
    given = []
    for name, image in images:
        fitted = fit(image.shape[1], image.shape[0], _MAX_INPUT)
        rows = np.array(engine.run(to_batch([image], [fitted]))[0])
        if not np.isfinite(rows).all():
            raise ParityError(f"{engine.model.name} gives numbers that are not finite for {name}")
        given.append(Output(name, fitted, rows))
    return given


def compare(
    reference: Sequence[Output], exported: Sequence[Output], names: tuple[str, ...], tolerance: Tolerance
) -> Parity:
    """Compare the outputs of two engines for the same images, both ways."""
    parity = Parity(tolerance)
    reader = YoloReader(names, Thresholds(tolerance.floor), DetectOptions().iou, UNCALIBRATED)
    for ours, theirs in zip(reference, exported, strict=True):
        called, called_there = reader.read(ours.rows, ours.fitted), reader.read(theirs.rows, theirs.fitted)
        parity.images += 1
        parity.detections += len(called)
        _search(parity, "checkpoint", called, theirs, called_there, names)
        _search(parity, "export", called_there, ours, called, names)
    return parity


def tolerance_for(reference: Sequence[Output], usual: Tolerance) -> Tolerance:
    """The usual one; of a detector that is sure of nothing, one whose floor every second image has a box above."""
    surest = float(np.median([output.rows[4:].max() for output in reference]))
    return usual if surest > usual.floor else usual.lowered_to(max(_LEAST_FLOOR, 0.9 * surest))


def _search(
    parity: Parity,
    side: str,
    detections: Iterable[Detection],
    other: Output,
    called_there: Sequence[Detection],
    names: Sequence[str],
) -> None:
    limit, boxes = parity.tolerance, other.boxes()
    for one in detections:
        away = np.abs(boxes - np.array([one.x1, one.y1, one.x2, one.y2], np.float32)).max(axis=1)
        apart = np.abs(other.rows[4 + names.index(one.class_name)] - one.confidence)
        nearest = int(np.argmin(np.maximum(away / limit.box_px, apart / limit.score)))
        box_px, score = float(away[nearest]), float(apart[nearest])
        if box_px > limit.box_px or score > limit.score:
            parity.deviations.append(Deviation(other.image, side, one.class_name, one.confidence, box_px, score))
        elif not any(_is_same(one, each, limit) for each in called_there):
            parity.borderline += 1
        parity.worst_box_px, parity.worst_score = max(parity.worst_box_px, box_px), max(parity.worst_score, score)


def _is_same(one: Detection, other: Detection, limit: Tolerance) -> bool:
    corners = zip((one.x1, one.y1, one.x2, one.y2), (other.x1, other.y1, other.x2, other.y2), strict=True)
    return (
        one.class_name == other.class_name
        and abs(one.confidence - other.confidence) <= limit.score
        and max(abs(a - b) for a, b in corners) <= limit.box_px
    )
