"""A frame of a bare board against its golden board: the detector's boxes, read once more.

A detection that counted is lost only where nothing changed, or where a surer one of its class has the same place: never
for the lower confidence that it is left with. What the golden board cannot tell stays as it was: a box that reaches
beyond its picture and a frame that cannot be compared; and a class that is no change of copper keeps its name.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.anomaly.registration import Matrix, Pose, Registrar, boxes_through
from inference_subscriber.copper import DOUBLED, CopperTemplate, Grey, Reading, settled
from inference_subscriber.engines.base import Detection, Image
from inference_subscriber.errors import NotComparable
from inference_subscriber.overlap import overlaps
from pcb_bus.contract.taxonomy import CopperNames

_BEYOND = 2.0  # pixels: so little of a box may lie outside the picture
_MOST_UNLIKE = 0.4  # of the copper or of the laminate
_Boxes = npt.NDArray[np.float64]


class GoldenBoard:
    """Some 2 ms a frame of 640x480 on one core, 8 ms with detections. Not for several threads at once.

    Args:
        picture: of the defect-free board, black copper on white laminate: uint8, height x width, grey.
        minor: classes that leave a board normal: no other class is read as one of them, for a board must not pass on
            doubt.

    Raises:
        ValueError: the picture shows only copper, or none.
    """

    def __init__(self, picture: Grey, names: CopperNames, minor: Collection[str] = ()) -> None:
        self._template = CopperTemplate(picture, names)
        if not 0 < self._template.share < 1:
            raise ValueError("no board of black copper on white laminate")
        self._registrar = Registrar(picture)
        self._height, self._width = picture.shape
        self._told = {*names.added, *names.removed}
        self._minor = frozenset(minor)

    def review(self, frame: Image, detections: Sequence[Detection]) -> tuple[Detection, ...]:
        """What is left of the detections: in the same pixels, by the classes that the changes have, the surest first.

        Raises:
            NotComparable: the frame is of another size or light, or the board is not found in it.
        """
        self._check_size(frame)
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        pose = self._registrar.align(grey)
        if not pose.aligned:
            raise NotComparable("the board is not found in the frame")
        laid = self._registrar.unwarp(grey, pose)
        self._check_likeness(laid)
        if not detections:
            return ()
        boxes = self._on_picture(detections, pose)
        readings = self._template.read(laid, boxes, [each.class_name for each in detections])
        shown = self._shown(boxes)
        left = [
            self._as_read(each, reading)
            for each, reading, whole in zip(detections, readings, shown, strict=True)
            if reading or not whole
        ]
        return _without_doubles(left)

    def _check_size(self, frame: Image) -> None:
        height, width = frame.shape[:2]
        if (width, height) != (self._width, self._height):
            raise NotComparable(f"frames of {width} x {height}, but a golden board of {self._width} x {self._height}")

    def _check_likeness(self, laid: Grey) -> None:
        """A frame too bright or too dark hides changes: it is no ground to lose a detection."""
        if self._template.unlike(laid) > _MOST_UNLIKE:
            raise NotComparable("copper and laminate do not look as on the golden board: light, or another board")

    def _on_picture(self, detections: Sequence[Detection], pose: Pose) -> _Boxes:
        boxes = np.array([(each.x1, each.y1, each.x2, each.y2) for each in detections], np.float64)
        return boxes_through(_inverse(pose.matrix), boxes)

    def _as_read(self, detection: Detection, readings: Sequence[Reading]) -> Detection:
        reading = settled(detection.class_name, readings, self._told, self._minor)
        confidence = reading.confidence(detection.confidence)
        return replace(detection, class_name=reading.class_name, confidence=confidence)

    def _shown(self, boxes: _Boxes) -> npt.NDArray[np.bool_]:
        """Whether the picture shows the whole of each box."""
        low, high = boxes[:, :2].min(axis=1), (boxes[:, 2:] - (self._width, self._height)).max(axis=1)
        return np.asarray((low >= -_BEYOND) & (high <= _BEYOND))


def _without_doubles(detections: Sequence[Detection]) -> tuple[Detection, ...]:
    """The surest first; of those of one class that overlap more than this, the surest."""
    kept: list[Detection] = []
    for each in sorted(detections, key=lambda one: -one.confidence):
        same = [_box(other) for other in kept if other.class_name == each.class_name]
        if not same or overlaps(np.array([_box(each)]), np.array(same)).max() <= DOUBLED:
            kept.append(each)
    return tuple(kept)


def _box(detection: Detection) -> tuple[float, float, float, float]:
    return detection.x1, detection.y1, detection.x2, detection.y2


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), np.float64)
