"""Reads the output of a YOLO detection head: (4 + classes, anchors), centre x, y, width, height, then class scores."""

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import Detection, Thresholds
from inference_subscriber.engines.calibration import UNCALIBRATED, Calibration
from inference_subscriber.engines.letterbox import Fit

_MOST_CANDIDATES = 3000
_MOST_BOXES = 300


class YoloReader:
    """Turns raw outputs into detections.

    An anchor speaks for its best class only, of those that reach their threshold.
    """

    def __init__(
        self, names: tuple[str, ...], thresholds: Thresholds, iou: float, calibration: Calibration = UNCALIBRATED
    ) -> None:
        self._names = names
        least = [calibration.score(thresholds.of(name, calibration.thresholds)) for name in names]
        self._least = np.array(least, np.float32)[:, np.newaxis]
        self._iou = iou
        self._calibration = calibration

    def read(self, output: npt.NDArray[np.float32], fitted: Fit) -> tuple[Detection, ...]:
        """Detections in falling order of confidence, in pixels of the image."""
        scores = np.where(output[4:] >= self._least, output[4:], 0)
        best = scores.max(axis=0)
        anchors = np.flatnonzero(best > 0)
        anchors = anchors[np.argsort(-best[anchors], kind="stable")[:_MOST_CANDIDATES]]
        if not anchors.size:
            return ()
        classes = scores[:, anchors].argmax(axis=0)
        kept = self._suppress(output[:4, anchors].T, best[anchors], classes)
        boxes = fitted.to_image(_corners(output[:4, anchors[kept]].T)).tolist()
        confidences = self._calibration.confidence(np.minimum(best[anchors[kept]], 1)).tolist()
        names = [self._names[kind] for kind in classes[kept]]
        return tuple(
            Detection(x1, y1, x2, y2, confidence, name)
            for (x1, y1, x2, y2), confidence, name in zip(boxes, confidences, names, strict=True)
        )

    def _suppress(
        self, boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], classes: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.intp]:
        left_top = np.hstack([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]])
        kept = cv2.dnn.NMSBoxesBatched(left_top.tolist(), scores.tolist(), classes.tolist(), 0.0, self._iou)
        return np.sort(np.asarray(kept, np.intp))[:_MOST_BOXES]


def _corners(boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    half = boxes[:, 2:] / 2
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])
