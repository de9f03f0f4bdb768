"""`calibrate` of `python -m training`: temperature and thresholds into the card beside a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from inference_subscriber.engines.calibration import UNCALIBRATED
from pcb_bus.contract.taxonomy import load_taxonomy
from training.datasets.errors import DatasetError
from training.evaluation.calibrate import (
    Bin,
    ClassDetections,
    calibration_error,
    choose_thresholds,
    class_detections,
    fit_temperature,
    outcomes,
    reliability,
)
from training.evaluation.card import own_card, with_calibration, write_card
from training.evaluation.command import (
    TestSet,
    add_model_options,
    all_names,
    command_line,
    drawn_set,
    existing,
    labelled_set,
)
from training.evaluation.curves import Curve, curve
from training.evaluation.examine import Detector, DetectorOptions, Examined
from training.evaluation.factory import Share
from training.evaluation.pictures import ASSEMBLED, BARE, FIRST_VALIDATION_DESIGN, DrawnSet
from training.evaluation.result import machine_name, today

_BUDGET = 0.005  # of single pictures: a board of two sides has twice as many


def add_calibrate_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    add = parser.add_argument
    add("--drawn", choices=(ASSEMBLED, BARE), help="look of the drawn boards (default: assembled, where it knows them)")
    add("--boards", type=int, default=1200, help="drawn boards, where no --split is given")
    add("--designs", type=int, default=600, help="that they are of (default: %(default)s)")
    add(
        "--budget",
        type=float,
        default=_BUDGET,
        help="share of boards with a false call, at most (default: %(default)s)",
    )


def calibrate(options: argparse.Namespace, console: Console) -> int:
    """On drawn boards of designs kept for it, or with --split on a part of one's own data."""
    if not 0 <= options.budget < 1:
        raise DatasetError(f"--budget {options.budget}: a share of the boards, from 0 to 1")
    card = own_card(existing(options.model))
    settings = DetectorOptions(
        options.device, options.threads, confidence=0.5, calibration=UNCALIBRATED, max_input=options.max_input
    )
    detector = Detector(options.model, settings)
    sets = (
        [labelled_set(options, load_taxonomy(options.taxonomy))]
        if options.split
        else _drawn_sets(options, detector.names)
    )
    names = all_names(detector, sets)
    examined = [each for chosen in sets for each in _examine(detector, chosen, names, console)]
    calibration, curves = _fit(examined, detector.names, options.budget)
    about = {"data": " and ".join(chosen.title for chosen in sets), "command": command_line(options)}
    calibration |= about | {"machine": machine_name(), "date": today(), "sha256": detector.model.sha256}
    write_card(
        options.model.parent, with_calibration(card, calibration, {name: asdict(c) for name, c in curves.items()})
    )
    _show(calibration, curves, console)
    console.print(f"written: {options.model.parent / 'card.json'}", soft_wrap=True)
    return 0


def _drawn_sets(options: argparse.Namespace, names: Sequence[str]) -> list[TestSet]:
    """Of the first look whose defects the detector all knows: a threshold for two looks at once would suit neither."""
    if options.boards < 1 or not 1 <= options.designs <= 1000:
        raise DatasetError("--boards: at least one; --designs: 1 to 1000")
    looks = (options.drawn,) if options.drawn else (ASSEMBLED, BARE)
    sets = (DrawnSet(look, options.boards, FIRST_VALIDATION_DESIGN, options.designs) for look in looks)
    known = [each for each in map(drawn_set, sets) if set(each.classes) <= set(names)]
    if not known:
        raise DatasetError("--split: say which part of your data; the model does not know what drawn boards have")
    return known[:1]


def _examine(detector: Detector, chosen: TestSet, names: tuple[str, ...], console: Console) -> Iterator[Examined]:
    shown = track(chosen.pictures, chosen.title, total=chosen.count, console=console, transient=True)
    return detector.examine(shown, names)


def _fit(examined: Sequence[Examined], names: Sequence[str], budget: float) -> tuple[dict[str, Any], dict[str, Curve]]:
    given = outcomes(examined, len(names))
    temperature = fit_temperature(given)
    before, after = reliability(given, 1.0), reliability(given, temperature)
    classes = class_detections(examined, len(names), temperature)
    boards = len({each.board for each in examined})
    thresholds = choose_thresholds(classes, boards, budget)
    calibration = {
        "temperature": round(temperature, 4),
        "thresholds": dict(zip(names, thresholds, strict=True)),
        "target_false_call_rate": budget,
        "false_calls": _false_calls(classes, thresholds, boards),
        "recall": {n: _recall(c, t) for n, c, t in zip(names, classes, thresholds, strict=True)},
        "ece_before": round(calibration_error(before), 4),
        "ece_after": round(calibration_error(after), 4),
        "reliability_before": _rounded(before),
        "reliability_after": _rounded(after),
    }
    each = zip(names, classes, thresholds, strict=True)
    return calibration, {name: curve(c.hits, c.others, c.truths, least) for name, c, least in each}


def _false_calls(classes: Sequence[ClassDetections], thresholds: Sequence[float], boards: int) -> dict[str, Any]:
    called = [each.boards[each.false >= least] for each, least in zip(classes, thresholds, strict=True)]
    share = Share(len(np.unique(np.concatenate(called))), boards)
    return {"count": share.count, "of": share.of, "interval95": [round(each, 5) for each in share.interval]}


def _recall(each: ClassDetections, least: float) -> float:
    return round(float((each.hits >= least).sum()) / each.truths, 4) if each.truths else 0.0


def _rounded(bins: Sequence[Bin]) -> list[dict[str, float]]:
    return [{"count": b.count, "confidence": round(b.confidence, 4), "right": round(b.right, 4)} for b in bins]


def _show(calibration: dict[str, Any], curves: dict[str, Curve], console: Console) -> None:
    table = Table("class", "least confidence", "recall", "precision", title="thresholds")
    for name, least in calibration["thresholds"].items():
        found = curves[name]
        table.add_row(name, f"{least:.3f}", f"{found.recall_at_threshold:.3f}", f"{found.precision_at_threshold:.3f}")
    console.print(table)
    ece = f"{calibration['ece_before']:.4f} before, {calibration['ece_after']:.4f} after"
    console.print(f"temperature {calibration['temperature']:.3f}; expected calibration error {ece}")
    false = calibration["false_calls"]
    console.print(f"boards with a false call: {false['count']} of {false['of']}")
