"""What a run writes down about itself: its settings once, and a line for each round."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.files import written_whole
from training.runs.folder import Run

Entry = dict[str, Any]


@dataclass(frozen=True)
class RunSettings:
    """What makes a run this run: a resumed one keeps it. `start` is a path or empty for fresh weights."""

    data: str
    architecture: str
    crops: int
    round_crops: int
    batch_size: int
    seed: int
    start: str
    classes: tuple[str, ...]
    images: int
    held_out_images: int
    defects: dict[str, int]


def write_settings(run: Run, settings: RunSettings) -> None:
    """Write them whole or not at all."""
    with written_whole(run.settings) as partial:
        partial.write_text(json.dumps(settings.__dict__, indent=2) + "\n")


def read_settings(run: Run) -> RunSettings | None:
    """The settings of a run; None for one that wrote none. Raises TrainingError when the file is damaged."""
    if not run.settings.is_file():
        return None
    try:
        raw = json.loads(run.settings.read_text())
        return RunSettings(**(raw | {"classes": tuple(raw["classes"])}))
    except (ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{run.settings} is damaged: {error}") from None


def read_rounds(log: Path) -> list[Entry]:
    """The rounds of a run, oldest first; a line that a kill cut short is left out."""
    if not log.is_file():
        return []
    entries = []
    for line in log.read_text().splitlines():
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries


def add_round(log: Path, entry: Entry) -> None:
    """Add a line to the log of rounds."""
    cut_short = log.is_file() and not log.read_text().endswith("\n") and log.stat().st_size > 0
    with log.open("a") as lines:
        lines.write(("\n" if cut_short else "") + json.dumps(entry) + "\n")


def best_score(run: Run) -> float:
    """The held-out mAP50-95 of the best weights kept so far, -1 where there are none."""
    if not run.best.is_file():
        return -1.0
    return max((entry["held_out"]["map50_95"] for entry in read_rounds(run.log) if entry.get("best")), default=-1.0)
