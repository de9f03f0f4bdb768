"""From frames to findings: a board is laid as its good boards lay, and seen once by the network for both answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inference_subscriber import metrics
from inference_subscriber.anomaly.model import AnomalyModel
from inference_subscriber.anomaly.registration import Pose, Registrar, boxes_through
from inference_subscriber.engines.base import Detection, Findings, Image
from inference_subscriber.engines.features import FeatureEngine, Look
from inference_subscriber.golden_boards import GoldenBoards
from inference_subscriber.witness import Witness

OnTrouble = Callable[[str, str], None]
"""Told of a side that cannot be compared with good boards, and why; of nothing once it can again."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A frame on its way. `image`: what the network is shown, the frame or the board laid as in the reference."""

    frame: Image
    image: Image
    model: AnomalyModel | None = None
    pose: Pose | None = None


class Inspector:
    """Runs the detector on frames, and compares each with the good boards of its side where those are known.

    A board that cannot be registered to its reference has the highest score, and is detected as the camera saw it.
    Not for several threads at once.

    Args:
        anomalies: by side; each one's stride is among the engine's.
        golden: what the detections are read once more with; None: they stay as the detector named them.
        witness: what settles them where good boards are known place by place; None: the detector alone.
    """

    def __init__(
        self,
        engine: FeatureEngine,
        anomalies: Mapping[str, AnomalyModel] | None = None,
        on_trouble: OnTrouble = lambda side, reason: None,
        golden: GoldenBoards | None = None,
        witness: Witness | None = None,
    ) -> None:
        self._engine = engine
        self._witness = witness
        self._golden = golden
        self._anomalies = dict(anomalies or {})
        self._registrars = {
            side: Registrar(model.reference) for side, model in self._anomalies.items() if model.reference is not None
        }
        self._on_trouble = on_trouble

    @property
    def best_batch(self) -> int:
        return self._engine.best_batch

    def inspect(self, pictures: Sequence[tuple[str, Image]]) -> list[Findings]:
        """The findings of each side and frame, in the same order; boxes in pixels of the frame.

        Raises:
            EngineFault: the network failed on one of them.
        """
        found = self._find(pictures)
        if self._golden is None:
            return found
        return [self._golden.review(*picture, each) for picture, each in zip(pictures, found, strict=True)]

    def _find(self, pictures: Sequence[tuple[str, Image]]) -> list[Findings]:
        if not self._anomalies:
            return self._engine.detect([image for _, image in pictures])
        prepared = [self._prepare(side, frame) for side, frame in pictures]
        looks = self._engine.look([each.image for each in prepared])
        return [self._findings(each, look) for each, look in zip(prepared, looks, strict=True)]

    def _prepare(self, side: str, frame: Image) -> _Prepared:
        model = self._anomalies.get(side)
        if model is None:
            return _Prepared(frame, frame)
        height, width = frame.shape[:2]
        wanted = model.subject.width, model.subject.height
        if (width, height) != wanted:
            self._on_trouble(side, f"frames of {width} x {height}, but good boards of {wanted[0]} x {wanted[1]}")
            return _Prepared(frame, frame)
        self._on_trouble(side, "")
        return self._register(side, frame, model)

    def _register(self, side: str, frame: Image, model: AnomalyModel) -> _Prepared:
        registrar = self._registrars.get(side)
        if registrar is None:
            return _Prepared(frame, frame, model)
        pose = registrar.align(frame)
        if pose.aligned:
            return _Prepared(frame, registrar.unwarp(frame, pose), model, pose)
        metrics.BOARDS_UNALIGNED.labels(side).inc()
        return _Prepared(frame, frame, model, pose)

    def _findings(self, prepared: _Prepared, look: Look) -> Findings:
        found, model, pose = look.findings, prepared.model, prepared.pose
        if model is None:
            return found
        if pose is None:
            return replace(found, anomaly=model.compare(look.features[model.stride], None))
        if not pose.aligned:
            return replace(found, anomaly=model.unaligned())
        anomaly = model.compare(look.features[model.stride], pose)
        detections = _on_frame(found.detections, pose, prepared.frame)
        if self._witness is None or not model.knows_places:
            return Findings(detections, anomaly)
        height, width = prepared.frame.shape[:2]
        doubtful = _on_frame(look.doubtful, pose, prepared.frame)
        return Findings(self._witness.settle(detections, doubtful, anomaly, (width, height)), anomaly)


def _on_frame(detections: Sequence[Detection], pose: Pose, frame: Image) -> tuple[Detection, ...]:
    height, width = frame.shape[:2]
    boxes = np.array([(each.x1, each.y1, each.x2, each.y2) for each in detections]).reshape(-1, 4)
    moved = np.clip(boxes_through(pose.matrix, boxes), 0, (width, height) * 2).tolist()
    return tuple(
        Detection(x1, y1, x2, y2, each.confidence, each.class_name)
        for each, (x1, y1, x2, y2) in zip(detections, moved, strict=True)
    )
