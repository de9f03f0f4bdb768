"""The recorder into a MariaDB of its own: `python -m benchmarks.recorder [--rounds N] [--backlog N] [--json FILE]`.

Prints verdicts a second beside what a raw loop of multi-row INSERTs of the same rows reaches (the share that counts),
and one of the boards' rows alone; how a backlog is drained, and what a
stream over the broker reaches with and without the broker writing itself down on every change. Exit code 1 when a
figure that was promised is missed.
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
from sqlalchemy import URL

from benchmarks import recorder_end_to_end, recorder_throughput
from benchmarks.bus import broker_with
from benchmarks.machine import machine
from benchmarks.mariadb import MariaDb
from recorder.database import database_url
from simulator.workplace import free_ports

LEAST_VERDICTS_PER_S, LEAST_SHARE_OF_RAW = 3000.0, 0.5
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
    parser.add_argument("--rounds", type=int, default=5, help="of the recorder and the raw loop in turn")
    parser.add_argument("--verdicts", type=int, default=15_000, help="a round")
    parser.add_argument("--batch", type=int, default=500, help="messages committed together, at most")
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

    def fresh_url() -> URL:
        return database_url(server.fresh_database())

    with broker_with(_new(folder, "throughput") / "broker", free_ports(1)[0], {}) as broker:
        rounds = recorder_throughput.measure(
            folder / "throughput", fresh_url(), broker, given.rounds, given.verdicts, given.batch
        )
    figures["throughput"] = rounds.figures
    if given.backlog:
        place = recorder_end_to_end.Place(_new(folder, "backlog"), fresh_url(), free_ports(1)[0])
        figures["backlog"] = recorder_end_to_end.backlog(place, server, given.backlog).figures
    for autosave in ("true", "false") if given.stream else ():
        place = recorder_end_to_end.Place(_new(folder, f"stream-{autosave}"), fresh_url(), free_ports(1)[0])
        drained = recorder_end_to_end.stream(place, given.stream, {"autosave_on_changes": autosave})
        figures[f"stream_autosave_{autosave}"] = drained.figures
    return figures


def promises(figures: Figures) -> Iterator[tuple[str, bool]]:
    """Each figure that was promised, and whether it holds."""
    throughput = figures["throughput"]
    yield "verdicts a second", throughput["verdicts_per_s"] >= LEAST_VERDICTS_PER_S
    yield "share of the raw loop", throughput["share_of_raw_loop"] >= LEAST_SHARE_OF_RAW
    for name in ("backlog", "stream_autosave_true", "stream_autosave_false"):
        if name in figures:
            yield f"{name}: nothing lost", figures[name]["lost"] == 0
    if "backlog" in figures:
        growth = figures["backlog"]["rss_end_mib"] - figures["backlog"]["rss_middle_mib"]
        yield "backlog: memory flat", growth <= MOST_GROWTH_MIB


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


def _new(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


if __name__ == "__main__":
    sys.exit(main())
