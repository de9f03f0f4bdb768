"""The recorder into a MariaDB of its own: `python -m benchmarks.recorder [--backlog N] [--stream N] [--json FILE]`.

Prints how long verdicts take into the database at ten boards a second, what a stream over the broker reaches, and how
a backlog is drained. Exit code 1 when a figure that was promised is missed.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from benchmarks import recorder_end_to_end
from benchmarks.machine import machine
from benchmarks.mariadb import MariaDb
from records.database import database_url
from simulator.workplace import free_ports

LEAST_VERDICTS_PER_S = 1500.0
MOST_P50_MS, MOST_P99_MS = 50.0, 200.0
MOST_GROWTH_MIB = 64.0
_MARIADB = ("--skip-name-resolve", "--innodb-buffer-pool-size=256M")

Figures = dict[str, Any]


def main() -> int:
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="boardline-") as folder, mariadb(Path(folder)) as server:
        figures: Figures = {"machine": machine(), **measure(Path(folder), server, given)}
    figures["kept"] = {name: bool(kept) for name, kept in promises(figures)}
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(figures["kept"].values()) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.recorder", description=__doc__)
    parser.add_argument("--boards", type=int, default=600, help="at ten a second; 0: left out")
    parser.add_argument(
        "--backlog", type=int, default=100_000, help="verdicts that come while the database is away; 0: left out"
    )
    parser.add_argument("--stream", type=int, default=10_000, help="verdicts sent over the broker; 0: left out")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


@contextmanager
def mariadb(folder: Path) -> Iterator[MariaDb]:
    """A server of our own."""
    server = MariaDb(folder / "db", free_ports(1)[0], _MARIADB)
    server.directory.mkdir()
    try:
        server.initialise()
        yield server
    finally:
        server.stop()


def measure(folder: Path, server: MariaDb, given: argparse.Namespace) -> Figures:
    figures: Figures = {}

    def place(name: str) -> recorder_end_to_end.Place:
        (folder / name).mkdir()
        return recorder_end_to_end.Place(folder / name, database_url(server.fresh_database()), free_ports(1)[0])

    if given.boards:
        figures["pace"] = recorder_end_to_end.pace(place("pace"), given.boards)
    if given.stream:
        figures["stream"] = recorder_end_to_end.stream(place("stream"), given.stream).figures
    if given.backlog:
        figures["backlog"] = recorder_end_to_end.backlog(place("backlog"), server, given.backlog).figures
    return figures


def promises(figures: Figures) -> Iterator[tuple[str, bool]]:
    """Each figure that was promised, and whether it holds."""
    for name in ("stream", "backlog"):
        if name in figures:
            yield f"{name}: verdicts a second", figures[name]["verdicts_per_s"] >= LEAST_VERDICTS_PER_S
            yield f"{name}: nothing lost", figures[name]["lost"] == 0
    if "backlog" in figures:
        growth = figures["backlog"]["rss_end_mib"] - figures["backlog"]["rss_start_mib"]
        yield "backlog: memory flat", growth <= MOST_GROWTH_MIB
    if "pace" in figures:
        yield "published to recorded, p50", figures["pace"]["p50_ms"] <= MOST_P50_MS
        yield "published to recorded, p99", figures["pace"]["p99_ms"] <= MOST_P99_MS


def show(figures: Figures) -> None:
    console = Console()
    where = figures["machine"]
    console.print(f"{where['cpu']}, {where['cores']} cores, load {where['load']} before the run")
    table = Table(
        "what",
        Column("figure", no_wrap=True),
        Column("measured", overflow="fold"),
        title="recorder",
        title_justify="left",
    )
    for what, measured in figures.items():
        for name, value in measured.items() if what not in ("machine", "kept") else ():
            table.add_row(what, name, _shown(value))
    console.print(table)
    for name, kept in figures["kept"].items():
        console.print(f"{'kept' if kept else 'MISSED'}: {name}", style="" if kept else "red")


def _shown(value: Any) -> str:
    return ", ".join(map(_shown, value)) if isinstance(value, list) else f"{value:,.2f}".removesuffix(".00")


if __name__ == "__main__":
    sys.exit(main())
