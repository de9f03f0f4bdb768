"""The figures that a detector of the product has to reach, and where in the results each stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.result import Result

DEEPPCB, ASSEMBLED, ANOMALY, VERDICTS, DEMO, PARITY, TIMING = (
    "deeppcb-held_out",
    "assembled",
    "anomaly",
    "verdicts",
    "demo",
    "parity",
    "timing",
)


@dataclass(frozen=True)
class Goal:
    """One figure: in which result it stands, at which key (with dots), and its bound."""

    what: str
    result: str
    key: str
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


def _deeppcb(seen: str, prefix: str) -> tuple[Goal, ...]:
    """With a golden board of its product, and without."""
    return (
        Goal(f"DeepPCB, held out, {seen}: mAP at IoU 0.33", DEEPPCB, f"{prefix}deeppcb.map33", at_least=0.985),
        Goal(
            f"DeepPCB, held out, {seen}: F-score at IoU 0.33, best threshold",
            DEEPPCB,
            f"{prefix}deeppcb.best.f_score",
            at_least=0.975,
        ),
        Goal(f"DeepPCB, held out, {seen}: mAP50", DEEPPCB, f"{prefix}coco.map50", at_least=0.97),
    )


def _verdicts(where: str, result: str) -> tuple[Goal, ...]:
    """Detector and anomaly score together, as shares of the boards."""
    seen = f"{where}, detector and anomaly together"
    return (
        Goal(f"{seen}: escapes per board", result, "escape_rate", at_most=0.01),
        Goal(f"{seen}: false calls per board", result, "false_call_rate", at_most=0.02),
    )


GOALS: tuple[Goal, ...] = (
    *_deeppcb("image and template, as the published method has them", "with_templates."),
    *_deeppcb("image alone", ""),
    Goal("drawn assembled boards of designs not trained on: mAP50", ASSEMBLED, "coco.map50", at_least=0.93),
    *_verdicts("drawn boards of several products", VERDICTS),
    *_verdicts("the line's demo", DEMO),
    Goal("oddities that no class covers: image AUROC of the anomaly score", ANOMALY, "auroc", at_least=0.97),
    Goal("anomaly score: time added to the inference", ANOMALY, "added_time", at_most=0.25),
    Goal("parity of exports: boxes, pixels apart", PARITY, "worst_box_px", at_most=1.0),
    Goal("parity of exports: scores, apart", PARITY, "worst_score", at_most=0.02),
    Goal("a 640x480 frame in OpenVINO, median ms", TIMING, "median_ms", at_most=15.0),
)


def figure_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each goal: its figure, whether it is reached, and what measured it; `value` None where nothing has."""
    by_name = {result.name: result for result in results}
    return [_row(goal, by_name.get(goal.result)) for goal in GOALS]


def _row(goal: Goal, result: Result | None) -> dict[str, Any]:
    bounds = {key: bound for key in ("at_least", "at_most") if (bound := getattr(goal, key)) is not None}
    value = None if result is None else _dig(result.figures, goal.key)
    row: dict[str, Any] = {"what": goal.what, **bounds, "value": value}
    if result is None or value is None:
        return row | {"reached": None}
    where = {"command": result.command, "machine": result.machine, "date": result.date}
    return row | {"reached": goal.reached(value), **where}


def _dig(figures: Mapping[str, Any], key: str) -> float | None:
    value: Any = figures
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) else None
