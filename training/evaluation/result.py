"""A measurement as a file: what was measured, of which weights, by which command, where and when."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pcb_bus.contract.messages import ModelRef
from training.datasets.errors import DatasetError

#: Where results lie unless another place is asked for; the card is made from there.
RESULTS = Path("var/evaluate")


@dataclass(frozen=True)
class Result:
    """One measurement; `figures` are of any shape, for the card finds its own in them."""

    name: str
    command: str
    model_sha256: str
    machine: str
    date: str
    figures: Mapping[str, Any]


def new_result(name: str, command: str, model: ModelRef, figures: Mapping[str, Any]) -> Result:
    """Of this machine, today."""
    return Result(name, command, model.sha256, machine_name(), today(), figures)


def write_result(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1, ensure_ascii=False) + "\n")


def read_results(folder: Path) -> Iterator[Result]:
    """Every result in a folder, in the order of the files. Raises DatasetError for a file that is none."""
    for path in sorted(folder.glob("*.json")):
        try:
            yield Result(**json.loads(path.read_text()))
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{path}: no result of an evaluation: {error}") from None


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def machine_name() -> str:
    """As `2 cores of an AMD EPYC`."""
    from benchmarks.machine import machine

    return f"{os.cpu_count()} cores, {machine()['cpu']}"


def shown_path(word: str) -> str:
    """A word of a command so that others can type it: `$PCB_DATA` where it is that, paths from this folder on."""
    path, data = Path(word), os.environ.get("PCB_DATA")
    if not path.is_absolute():
        return word
    if data and path.resolve() == Path(data).resolve():
        return "$PCB_DATA"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else f"…/{path.name}"
