"""The model card: `card.json` for programs, `README.md` and `pr_curves.svg` for people, all of the same figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference_subscriber.engines import digest
from inference_subscriber.engines.calibration import CARD
from training.datasets.errors import DatasetError
from training.evaluation.card_text import render
from training.evaluation.curves import draw
from training.evaluation.goals import figure_rows
from training.evaluation.result import Result
from training.files import written_whole
from training.runs.record import read_rounds

Card = dict[str, Any]
README, CURVES = "README.md", "pr_curves.svg"


@dataclass(frozen=True)
class RunRecord:
    """What a training run left behind about itself."""

    crops: int
    minutes: float
    held_out_groups: frozenset[str] = frozenset()


def read_run(folder: Path, held_out_groups: frozenset[str] = frozenset()) -> RunRecord:
    """The record of a run. Raises FileNotFoundError when the folder holds no run."""
    rounds = read_rounds(folder / "rounds.jsonl")
    if not rounds:
        raise FileNotFoundError(f"no run in {folder}: rounds.jsonl is missing or empty")
    return RunRecord(rounds[-1]["seen"], rounds[-1]["seconds"] / 60, held_out_groups)


def new_card(run: RunRecord, files: Sequence[Path], class_names: Sequence[str], machine: str, notes: str) -> Card:
    """The card of fresh weights: what they are, and no figures yet. The first file is the one that the line runs."""
    groups = sorted(run.held_out_groups)
    return {
        "name": files[0].stem,
        "classes": list(class_names),
        "architecture": "YOLOv8n (Ultralytics)",
        "license": "AGPL-3.0-or-later",
        "files": {path.name: {"bytes": path.stat().st_size, "sha256": digest(path)} for path in files},
        "data": {"held_out_groups": groups},
        "training": {"crops": run.crops, "minutes": round(run.minutes, 1), "machine": machine, "notes": notes},
    }


def with_calibration(card: Card, calibration: Mapping[str, Any], curves: Mapping[str, Any]) -> Card:
    return card | {"calibration": dict(calibration), "curves": dict(curves)}


def with_results(card: Card, results: Sequence[Result]) -> tuple[Card, list[str]]:
    """The card with the figures of these results, and the names of those that are of other weights, left out.

    What it has of these weights stays where it was not measured anew: another machine has no files of it.
    """
    weights = {file["sha256"] for file in card["files"].values()}
    known = [Result(**each) for each in card.get("results", {}).values()]
    kept = {each.name: each for each in (*known, *results) if each.model_sha256 in weights}
    stray = [result.name for result in results if result.model_sha256 not in weights]
    rows = figure_rows(list(kept.values()))
    return card | {"figures": rows, "results": {name: asdict(each) for name, each in kept.items()}}, stray


def write_card(folder: Path, card: Card) -> None:
    """Write all forms of the card into the model's folder."""
    texts = {CARD: json.dumps(card, indent=1, ensure_ascii=False) + "\n", README: render(card)}
    if "curves" in card:
        texts[CURVES] = draw(card["curves"])
    for name, text in texts.items():
        with written_whole(folder / name) as partial:
            partial.write_text(text)


def read_card(folder: Path) -> Card:
    """The card of a model. Raises FileNotFoundError when the folder has none, DatasetError when it is damaged."""
    try:
        card: Card = json.loads((folder / CARD).read_text())
    except ValueError as error:
        raise DatasetError(f"{folder / CARD}: {error}") from None
    if not isinstance(card, dict):
        raise DatasetError(f"{folder / CARD}: no card of a model")
    return card


def own_card(model: Path) -> Card:
    """The card beside a model that speaks of these very weights. Raises DatasetError."""
    if not (model.parent / CARD).is_file():
        raise DatasetError(f"{model.parent / CARD} is missing; `python -m training export` makes one")
    card = read_card(model.parent)
    if digest(model) not in {file["sha256"] for file in card.get("files", {}).values()}:
        raise DatasetError(f"{model.parent / CARD} is of other weights than {model.name}")
    return card


def held_out_groups(folder: Path) -> frozenset[str]:
    """The DeepPCB groups that the model in `folder` was not trained on, as far as its card knows."""
    card = read_card(folder) if (folder / CARD).is_file() else {}
    return frozenset(card.get("data", {}).get("held_out_groups", ()))


def claimed_map50(folder: Path, sha256: str, name: str, chosen: str) -> float | None:
    """The mAP50 that the card in `folder` has for these weights in the result of that name and set."""
    if not (folder / CARD).is_file():
        return None
    result = read_card(folder).get("results", {}).get(name)
    if result is None or result["model_sha256"] != sha256 or result["figures"].get("set") != chosen:
        return None
    return float(result["figures"]["coco"]["map50"])
