"""Which class is taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.boxes import iou_matrix
from training.evaluation.average_precision import Boxed

_LEAST_IOU = 0.5


def confusion_matrix(truths: Sequence[Boxed], called: Sequence[Boxed], classes: int) -> npt.NDArray[np.int64]:
    """(classes + 1, classes + 1): a row for each true class, a column for each that was called.

    The last row counts calls where there is nothing, the last column defects that nobody called. A call takes the
    truth that it overlaps most, of whatever class, by IoU 0.5 at least; the most confident call first.
    """
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for truth, found in zip(truths, called, strict=True):
        _count(matrix, truth, found)
    return matrix


def _count(matrix: npt.NDArray[np.int64], truth: Boxed, found: Boxed) -> None:
    nothing = len(matrix) - 1
    overlaps = iou_matrix(found.boxes, truth.boxes)
    missed = np.ones(len(truth.boxes), bool)
    for index in np.argsort(-found.confidences, kind="stable"):
        row = np.where(missed, overlaps[index], -1.0)
        best = int(np.argmax(row)) if len(row) else -1
        if best >= 0 and row[best] >= _LEAST_IOU:
            missed[best] = False
            matrix[truth.classes[best], found.classes[index]] += 1
        else:
            matrix[nothing, found.classes[index]] += 1
    for index in truth.classes[missed]:
        matrix[index, nothing] += 1
