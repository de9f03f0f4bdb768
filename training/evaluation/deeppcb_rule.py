"""The rule of DeepPCB's authors: a hit overlaps by more than IoU 0.33; mAP, and the F-score at the best threshold.

Tang et al. 2019 say in their repository: their script is the one of ICDAR 2015 "with small modification", one IoU of
0.33, F = 2PR / (P + R), and the threshold of the F-score may be chosen for the best result. From ICDAR's script follow
the matching (each truth takes the first detection left in the order of the file) and the average precision without
interpolation: the mean, over all truths, of the precision at each hit. Their modified script itself was not at hand:
that its mAP is the mean over the classes is read from their text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.boxes import iou_matrix
from training.evaluation.average_precision import Boxed

LEAST_IOU = 0.33
Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Balance:
    """Precision and recall over all classes at one confidence, and their harmonic mean."""

    f_score: float
    precision: float
    recall: float
    confidence: float | None = None


def hits_of(truths: Boxed, found: Boxed) -> Hits:
    """Which detections of one image hit a truth of their class; `found` comes in falling order of confidence."""
    overlaps = iou_matrix(found.boxes, truths.boxes) > LEAST_IOU
    overlaps &= found.classes[:, None] == truths.classes[None]
    hits = np.zeros(len(found.boxes), bool)
    for column in overlaps.T:
        free = np.flatnonzero(column & ~hits)
        hits[free[:1]] = True
    return hits


def class_precisions(truths: Sequence[Boxed], found: Sequence[Boxed], classes: int) -> list[float]:
    """Average precision of each class, without interpolation; 0.0 for one without truths."""
    hits, _, kinds = _pooled(truths, found)
    totals = [sum(int((t.classes == index).sum()) for t in truths) for index in range(classes)]
    return [_plain_precision(hits[kinds == index], totals[index]) for index in range(classes)]


def best_balance(truths: Sequence[Boxed], found: Sequence[Boxed]) -> Balance:
    """The best F-score that one threshold for all classes can give."""
    hits, confidences, _ = _pooled(truths, found)
    total = sum(len(t.boxes) for t in truths)
    if not total or not len(hits):
        return Balance(0.0, 0.0, 0.0)
    ends = np.append(confidences[1:] < confidences[:-1], True)  # equal confidences pass or fail together
    right = np.cumsum(hits)
    scores = np.where(ends, 2 * right / (np.arange(1, len(hits) + 1) + total), 0)
    best = int(np.argmax(scores))
    return Balance(
        float(scores[best]), float(right[best] / (best + 1)), float(right[best] / total), float(confidences[best])
    )


def balance(truths: Sequence[Boxed], called: Sequence[Boxed]) -> Balance:
    """Precision, recall and F-score of what is called, whatever the thresholds were."""
    hits, _, _ = _pooled(truths, called)
    total, right = sum(len(t.boxes) for t in truths), int(hits.sum())
    if not right:
        return Balance(0.0, 0.0, 0.0)
    return Balance(2 * right / (len(hits) + total), right / len(hits), right / total)


def _pooled(
    truths: Sequence[Boxed], found: Sequence[Boxed]
) -> tuple[Hits, npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Hits, confidences and classes of all images in falling order of confidence."""
    if not found:
        return np.empty(0, bool), np.empty(0), np.empty(0, np.int64)
    hits = np.concatenate([hits_of(t, f) for t, f in zip(truths, found, strict=True)])
    confidences = np.concatenate([f.confidences for f in found])
    order = np.argsort(-confidences, kind="stable")
    return hits[order], confidences[order], np.concatenate([f.classes for f in found])[order]


def _plain_precision(hits: Hits, truths: int) -> float:
    if not truths:
        return 0.0
    ranks = np.flatnonzero(hits)
    return float((np.arange(1, len(ranks) + 1) / (ranks + 1)).sum() / truths)
