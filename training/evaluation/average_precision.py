"""Average precision as COCO counts it: 101 recall points, IoU 0.50 to 0.95 (Lin et al. 2014, pycocotools)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.boxes import Boxes, iou_matrix

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2))
_RECALL_POINTS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Boxed:
    """The boxes of one image: (n, 4) in pixels, a class index and, for detections, a confidence for each."""

    boxes: Boxes
    classes: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassScore:
    """AP of one class, and recall and precision at the confidence threshold that was asked for."""

    truths: int
    ap50: float
    ap50_95: float
    recall: float
    precision: float


def score_class(
    truths: Sequence[Boxed], detections: Sequence[Boxed], class_index: int, confidence: float = 0.25
) -> ClassScore:
    """Score one class over all images; the two sequences run in parallel, one entry for each image."""
    truth_boxes = [t.boxes[t.classes == class_index] for t in truths]
    found = [_of_class(d, class_index) for d in detections]
    total = sum(len(boxes) for boxes in truth_boxes)
    scores = np.concatenate([scores for _, scores in found]) if found else np.empty(0)
    order = np.argsort(-scores, kind="stable")
    hits = [
        np.concatenate([match(t, boxes, s, iou) for t, (boxes, s) in zip(truth_boxes, found, strict=True)])[order]
        if len(scores)
        else np.empty(0, bool)
        for iou in IOU_THRESHOLDS
    ]
    precisions = [average_precision(hit, total) for hit in hits]
    sure = hits[0][scores[order] >= confidence]
    recall = float(sure.sum() / total) if total else 0.0
    precision = float(sure.mean()) if len(sure) else 0.0
    return ClassScore(total, precisions[0], float(np.mean(precisions)), recall, precision)


def match(truths: Boxes, boxes: Boxes, scores: npt.NDArray[np.float64], iou: float) -> npt.NDArray[np.bool_]:
    """Which detections of one image and class are hits: each takes the best truth left, the most confident first."""
    hits = np.zeros(len(boxes), bool)
    if not len(truths):
        return hits
    overlaps = iou_matrix(boxes, truths)
    for index in np.argsort(-scores, kind="stable"):
        best = int(np.argmax(overlaps[index]))
        if overlaps[index, best] >= iou:
            hits[index] = True
            overlaps[:, best] = -1.0
    return hits


def average_precision(hits: npt.NDArray[np.bool_], truths: int) -> float:
    """AP of detections in falling order of confidence, against that many truths (0.0 when there are none)."""
    if not truths or not len(hits):
        return 0.0
    found = np.cumsum(hits)
    recall = found / truths
    precision = np.maximum.accumulate((found / np.arange(1, len(hits) + 1))[::-1])[::-1]
    at = np.searchsorted(recall, _RECALL_POINTS, side="left")
    return float(np.where(at < len(precision), precision[np.minimum(at, len(precision) - 1)], 0.0).mean())


def _of_class(boxed: Boxed, class_index: int) -> tuple[Boxes, npt.NDArray[np.float64]]:
    chosen = boxed.classes == class_index
    return boxed.boxes[chosen], boxed.confidences[chosen]
