"""The commands behind `python -m training`; each returns the process' exit status."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from training.datasets.build import locate
from training.datasets.form import read_held_out_groups
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.evaluation.card import deviation, read_card, read_run, starter_card, write_card
from training.evaluation.evaluate import Report
from training.evaluation.measure import Figures, MeasureSettings, measure

#: How far a measured mAP50 may lie from the card's; other processors round differently.
_TOLERANCE = 0.005


def evaluate(options: argparse.Namespace, console: Console) -> int:
    """Status 1 when the model's own card claims another held-out figure."""
    from training.onnx_network import OnnxNetwork

    network = OnnxNetwork(options.model)
    groups = options.held_out or _groups_of_card(options.model) or HELD_OUT_GROUPS
    dataset = locate(options.data, options.work / "dataset", groups)
    settings = MeasureSettings(drawn_boards=options.drawn_boards, confidence=options.confidence)
    figures = measure(network, network.class_names, dataset, settings)
    _show(figures, console)
    if options.json:
        options.json.write_text(json.dumps(figures.as_dict(), indent=2) + "\n")
    return _compare_with_card(options.model, figures, console)


def export(options: argparse.Namespace, console: Console) -> int:
    from training.export import export_onnx
    from training.onnx_network import OnnxNetwork

    weights = options.weights or options.work / "run" / "weights.pt"
    options.out.mkdir(parents=True, exist_ok=True)
    onnx, checkpoint = (options.out / f"{options.name}{suffix}" for suffix in (".onnx", ".pt"))
    shutil.copyfile(weights, checkpoint)
    export_onnx(weights, onnx)
    dataset = locate(options.data, options.work / "dataset", options.held_out or HELD_OUT_GROUPS)
    network = OnnxNetwork(onnx)
    figures = measure(network, network.class_names, dataset, MeasureSettings(drawn_boards=options.drawn_boards))
    run = read_run(options.work / "run", read_held_out_groups(dataset))
    write_card(options.out, starter_card(figures, run, [onnx, checkpoint], options.machine, options.notes))
    _show(figures, console)
    return 0


def _groups_of_card(model: Path) -> frozenset[str]:
    if not (model.parent / "card.json").is_file():
        return frozenset()
    return frozenset(read_card(model.parent)["data"]["held_out_groups"])


def _show(figures: Figures, console: Console) -> None:
    for title, report in (("held-out boards", figures.held_out), ("drawn boards", figures.drawn)):
        console.print(_table(f"{title}: {report.images}", report))
    for title, calls in (("held-out templates", figures.clean_held_out), ("drawn boards", figures.clean_drawn)):
        console.print(f"false calls on {calls.boards} {title} without a defect: {calls.calls}")


def _table(title: str, report: Report) -> Table:
    table = Table("class", "defects", "AP50", "AP50-95", "recall", "precision", title=title)
    for name, score in report.classes.items():
        shares = (score.ap50, score.ap50_95, score.recall, score.precision)
        table.add_row(name, str(score.truths), *(f"{share:.3f}" for share in shares))
    table.add_row("all", "", f"{report.map50:.3f}", f"{report.map50_95:.3f}", "", "")
    return table


def _compare_with_card(model: Path, figures: Figures, console: Console) -> int:
    if not (model.parent / "card.json").is_file():
        return 0
    away = deviation(read_card(model.parent), figures.held_out)
    if away > _TOLERANCE:
        console.print(f"[red]held-out mAP50 lies {away:.4f} from the model card's figure")
        return 1
    console.print(f"held-out mAP50 agrees with the model card to {away:.4f}")
    return 0
