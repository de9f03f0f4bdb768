"""Looks at every held-out picture: what was found, what escaped, what was called falsely, what was confused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.boxes import Boxes, iou_matrix
from training.datasets.form import Sample
from training.evaluation.average_precision import Boxed, match
from training.evaluation.confusion import confusion_matrix
from training.evaluation.decode import DecodeSettings, decode
from training.evaluation.evaluate import Network

IOU = 0.5


@dataclass(frozen=True)
class Curve:
    """Precision over recall of one class, by falling confidence; all three (n,)."""

    truths: int
    confidences: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Miss:
    """One thing gone wrong on one picture.

    Args:
        truth: class of the labelled defect, empty for a false call.
        called: class that was called, empty for an escape.
        confidence: of the call; of an escape, the highest of an overlapping box of its class (0.0: none at all).
        box: x1, y1, x2, y2 in pixels, of the call or, for an escape, of the label.
    """

    sample: int
    truth: str
    called: str
    confidence: float
    box: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Examination:
    """What a detector makes of labelled pictures at one confidence.

    Args:
        confusion: (classes + 1, classes + 1), labelled by called; last row: false calls, last column: escapes.
        boards_with_escape: pictures with a defect of which none was called.
        boards_called_falsely: pictures without a defect that have a call.
    """

    class_names: tuple[str, ...]
    confidence: float
    pictures: int
    good_pictures: int
    curves: dict[str, Curve]
    confusion: npt.NDArray[np.int64]
    misses: tuple[Miss, ...]
    boards_with_escape: int
    boards_called_falsely: int

    @property
    def escapes(self) -> list[Miss]:
        """Labelled defects that nothing was called for, the least seen first."""
        return sorted((m for m in self.misses if not m.called), key=lambda miss: miss.confidence)

    @property
    def false_calls(self) -> list[Miss]:
        """Calls where there is no defect, or another one; the surest first."""
        return sorted((m for m in self.misses if m.called), key=lambda miss: -miss.confidence)


def examine(
    network: Network,
    samples: Sequence[Sample],
    class_names: tuple[str, ...],
    settings: DecodeSettings,
    confidence: float | None = None,
) -> Examination:
    """Examine at that confidence; None: where the F-score over all classes is best."""
    truths = [_boxed(sample, class_names) for sample in samples]
    found = [decode(network(sample.image), settings) for sample in samples]
    curves = {name: curve(truths, found, index) for index, name in enumerate(class_names)}
    least = best_confidence(truths, found) if confidence is None else confidence
    called = [_at_least(each, least) for each in found]
    misses: list[Miss] = []
    for index, (truth, sure, every) in enumerate(zip(truths, called, found, strict=True)):
        pairs = _pair(truth.boxes, sure.boxes)  # as confusion_matrix does
        misses += _misses(index, truth, sure, every, pairs, class_names)
    return Examination(
        class_names,
        least,
        len(samples),
        sum(not len(t.classes) for t in truths),
        curves,
        confusion_matrix(truths, called, len(class_names)),
        tuple(misses),
        sum(bool(len(t.classes)) and not len(c.classes) for t, c in zip(truths, called, strict=True)),
        sum(not len(t.classes) and bool(len(c.classes)) for t, c in zip(truths, called, strict=True)),
    )


def curve(truths: Sequence[Boxed], found: Sequence[Boxed], class_index: int) -> Curve:
    """Precision and recall of one class at each confidence, at IoU 0.5."""
    scores, hits = _hits(truths, found, class_index)
    total = sum(int((t.classes == class_index).sum()) for t in truths)
    true, called = np.cumsum(hits), np.arange(1, len(hits) + 1)
    return Curve(total, scores, true / called, true / max(total, 1))


def best_confidence(truths: Sequence[Boxed], found: Sequence[Boxed]) -> float:
    """Where the F-score over all classes is best; 0.5 where nothing was found at all."""
    known = sorted({int(c) for boxed in (*truths, *found) for c in boxed.classes})
    parts = [_hits(truths, found, index) for index in known]
    scores = np.concatenate([part[0] for part in parts]) if parts else np.empty(0)
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([part[1] for part in parts])[order] if parts else np.empty(0, bool)
    if not hits.any():
        return 0.5
    total = sum(len(t.classes) for t in truths)
    f_scores = 2 * np.cumsum(hits) / (np.arange(1, len(hits) + 1) + total)
    return float(scores[order][int(np.argmax(f_scores))])


def _hits(
    truths: Sequence[Boxed], found: Sequence[Boxed], class_index: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Falling confidences of one class' detections, and which of them are hits."""
    scores, hits = [np.empty(0)], [np.empty(0, bool)]
    for truth, each in zip(truths, found, strict=True):
        chosen = each.classes == class_index
        scores.append(each.confidences[chosen])
        hits.append(match(truth.boxes[truth.classes == class_index], each.boxes[chosen], each.confidences[chosen], IOU))
    joined = np.concatenate(scores)
    order = np.argsort(-joined, kind="stable")
    return joined[order], np.concatenate(hits)[order]


def _boxed(sample: Sample, class_names: Sequence[str]) -> Boxed:
    classes = np.array([class_names.index(name) for name in sample.classes], np.int64)
    return Boxed(np.asarray(sample.boxes, float).reshape(-1, 4), classes, np.ones(len(classes)))


def _at_least(boxed: Boxed, confidence: float) -> Boxed:
    sure = boxed.confidences >= confidence
    return Boxed(boxed.boxes[sure], boxed.classes[sure], boxed.confidences[sure])


def _pair(truths: Boxes, called: Boxes) -> dict[int, int]:
    """Call to label, whatever their classes: the surest call first takes the label that it overlaps most."""
    overlaps, pairs = iou_matrix(called, truths), dict[int, int]()
    for call, row in enumerate(overlaps):
        best = int(row.argmax()) if len(row) else -1
        if best >= 0 and row[best] >= IOU:
            pairs[call] = best
            overlaps[:, best] = -1
    return pairs


def _misses(
    sample: int, truth: Boxed, called: Boxed, found: Boxed, pairs: dict[int, int], names: Sequence[str]
) -> Iterator[Miss]:
    for call, kind in enumerate(called.classes):
        paired = truth.classes[pairs[call]] if call in pairs else None
        if paired != kind:
            known = "" if paired is None else names[paired]
            yield Miss(sample, known, names[kind], float(called.confidences[call]), called.boxes[call])
    for index in sorted(set(range(len(truth.classes))) - set(pairs.values())):
        seen = _seen(truth.boxes[index : index + 1], truth.classes[index], found)
        yield Miss(sample, names[truth.classes[index]], "", seen, truth.boxes[index])


def _seen(box: Boxes, kind: int, found: Boxed) -> float:
    """The highest confidence of a box of that class on the label, however low."""
    if not len(found.boxes):
        return 0.0
    near = (iou_matrix(box, found.boxes)[0] >= IOU) & (found.classes == kind)
    return float(found.confidences[near].max(initial=0.0))
