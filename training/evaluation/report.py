"""The figures of one evaluation by its three protocols, as one object that tables and JSON are made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pcb_bus.contract.taxonomy import Taxonomy
from training.evaluation.average_precision import match, score_class
from training.evaluation.confusion import confusion_matrix
from training.evaluation.deeppcb_rule import Balance, balance, best_balance, class_precisions
from training.evaluation.examine import Examined
from training.evaluation.factory import Inspected, Rates, any_defect, by_verdict


@dataclass(frozen=True)
class ClassFigures:
    """One class: AP by both rules, and recall and precision of what the line would call, at IoU 0.5."""

    truths: int
    ap50: float
    ap50_95: float
    ap33: float
    recall: float
    precision: float


@dataclass(frozen=True)
class Report:
    """What a detector achieves on one set.

    Args:
        classes: by name; means are over those that occur.
        best: F-score by DeepPCB's rule at the one threshold that is best on this very set.
        chosen: the same at the thresholds that the line has.
        any_defect: the factory's count where a minor defect makes a board bad.
        verdict: the same as the gates see it.
        confusion: see `confusion_matrix`.
    """

    images: int
    boards: int
    classes: dict[str, ClassFigures]
    best: Balance
    chosen: Balance
    any_defect: Rates
    verdict: Rates
    confusion: npt.NDArray[np.int64]

    def mean(self, figure: str) -> float:
        """Of `ap50`, `ap50_95` or `ap33`."""
        values = [getattr(each, figure) for each in self.classes.values() if each.truths]
        return float(np.mean(values)) if values else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Rounded figures for a file."""
        rounded: dict[str, Any] = _rounded(
            {
                "images": self.images,
                "boards": self.boards,
                "coco": {"map50": self.mean("ap50"), "map50_95": self.mean("ap50_95")},
                "deeppcb": {"map33": self.mean("ap33"), "best": asdict(self.best), "chosen": asdict(self.chosen)},
                "factory": {"any_defect": _rates(self.any_defect), "verdict": _rates(self.verdict)},
                "classes": {name: asdict(each) for name, each in self.classes.items()},
                "confusion": {"classes": [*self.classes, "nothing"], "rows_true": self.confusion.tolist()},
            }
        )
        return rounded


def report_on(examined: Sequence[Examined], class_names: Sequence[str], taxonomy: Taxonomy) -> Report:
    """Score what was found in all pictures. Raises KeyError for a true class that the taxonomy does not know."""
    truths, found, called = ([getattr(e, part) for e in examined] for part in ("truths", "found", "called"))
    ap33 = class_precisions(truths, found, len(class_names))
    figures = {}
    for index, name in enumerate(class_names):
        coco = score_class(truths, found, index)
        right, total = _hits(examined, index)
        recall = right / coco.truths if coco.truths else 0.0
        precision = right / total if total else 0.0
        figures[name] = ClassFigures(coco.truths, coco.ap50, coco.ap50_95, ap33[index], recall, precision)
    boards = inspected_boards(examined, class_names)
    return Report(
        len(examined),
        len(boards),
        figures,
        best_balance(truths, found),
        balance(truths, called),
        any_defect(boards),
        by_verdict(boards, taxonomy),
        confusion_matrix(truths, called, len(class_names)),
    )


def inspected_boards(examined: Sequence[Examined], class_names: Sequence[str]) -> list[Inspected]:
    """The pictures of each board together."""
    sides: dict[str, list[Examined]] = defaultdict(list)
    for each in examined:
        sides[each.board].append(each)

    def names(parts: Sequence[npt.NDArray[np.int64]]) -> tuple[str, ...]:
        return tuple(class_names[index] for part in parts for index in part)

    return [
        Inspected(board, names([e.truths.classes for e in parts]), names([e.called.classes for e in parts]))
        for board, parts in sides.items()
    ]


def _hits(examined: Sequence[Examined], index: int) -> tuple[int, int]:
    """Of one class: hits among what was called, and all calls."""
    right = total = 0
    for each in examined:
        truths, called = each.truths.of_class(index), each.called.of_class(index)
        right += int(match(truths.boxes, called.boxes, called.confidences, 0.5).sum())
        total += len(called.boxes)
    return right, total


def _rates(rates: Rates) -> dict[str, Any]:
    return {
        name: {"count": share.count, "of": share.of, "share": share.value, "interval95": list(share.interval)}
        for name in ("escapes", "false_calls", "wrong_gate")
        if (share := getattr(rates, name)) is not None
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value
