"""A run of the suite: which faults, the table as it grows, and what is kept of it."""

import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from rich.console import Console
from rich.live import Live
from rich.table import Table
from support import tmpfs

from faults.campaign import Campaign, Limits, Outcome
from faults.catalogue import Fault, all_faults
from faults.line import FaultLine, Means
from pcb_bus.contract.times import now_ns
from simulator.schedule import BARE, Schedule

_PREFIX = "boardline-faults-"
_KEPT = Path("var/faults")
_LOGS = ("harness.log", "output", "log", "broker/mosquitto.log", "mariadb/log", "line.yaml")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for; `only`: names, or parts of them; all when empty."""

    boards: int = 15
    rate: float = 5.0
    seed: int = 1
    only: tuple[str, ...] = ()
    recovery_s: float = 40.0
    json: str | None = None
    keep: bool = False


def list_faults() -> int:
    for each in all_faults().values():
        print(f"{each.name}{'  (needs root)' if each.root else ''}")
    return 0


def run_suite(choice: Choice, console: Console | None = None) -> int:
    """Do the faults; returns the exit code."""
    console = console or Console()
    means = Means.of_this_machine()
    wanted = _wanted(choice.only)
    if not wanted:
        console.print(f"no fault is called {', '.join(choice.only)}; --list names them")
        return 2
    able = [each for each in wanted if means.root or not each.root]
    outcomes = _run(choice, able, means, console)
    for each in wanted:
        if each not in able:
            console.print(f"skipped: {each.name}: needs root, for namespaces and mounts")
    return 0 if _clean(outcomes, able) else 1


def _wanted(only: Sequence[str]) -> list[Fault]:
    return [each for each in all_faults().values() if not only or any(_means(part, each.name) for part in only)]


def _means(asked: str, name: str) -> bool:
    """A whole name means that fault alone; a part of names all that it is in."""
    return asked == name if asked in all_faults() else asked in name


def _run(choice: Choice, faults: Sequence[Fault], means: Means, console: Console) -> list[Outcome]:
    tmpfs.remove_leftovers(Path(tempfile.gettempdir()), _PREFIX)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    schedule = Schedule(choice.seed, choice.rate, now_ns(), look=BARE)
    outcomes: list[Outcome] = []
    try:
        with _logging_to(folder / "harness.log"), FaultLine(folder, schedule, means) as line:
            campaign = Campaign(line, Random(choice.seed), Limits(choice.boards, choice.recovery_s))
            _show(campaign.run(faults), outcomes, console)
    finally:
        _keep(folder, choice, outcomes, console, needed=choice.keep or not _clean(outcomes, faults))
    return outcomes


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """What our own sessions complain of does not belong between the lines of the table."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger(__package__).setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _clean(outcomes: Sequence[Outcome], faults: Sequence[Fault]) -> bool:
    return len(outcomes) == len(faults) + 1 and all(each.ok for each in outcomes)


def _show(coming: Iterable[Outcome], outcomes: list[Outcome], console: Console) -> None:
    """The table as it grows; where nobody looks on, a line for each fault and the table at the end."""
    with Live(_table(outcomes), console=console, auto_refresh=False) as live:
        for outcome in coming:
            outcomes.append(outcome)
            live.update(_table(outcomes), refresh=True)
            if not console.is_terminal:
                print(f"{outcome.fault}: {'ok' if outcome.ok else 'NOT OK'}", file=sys.stderr, flush=True)
    console.print()
    for outcome in outcomes:
        _show_complaints(outcome, console)


def _show_complaints(outcome: Outcome, console: Console) -> None:
    lines = (*outcome.trouble, *outcome.audit.lost, *outcome.audit.doubled, *outcome.audit.late)
    for line in lines[:_SHOWN]:
        console.print(f"{outcome.fault}: {line}", highlight=False, markup=False)
    if len(lines) > _SHOWN:
        console.print(f"{outcome.fault}: and {len(lines) - _SHOWN} more", highlight=False, markup=False)


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table("fault")
    for name in ("boards", "lost", "doubled", "late", "unjudged", "recovery, s"):
        table.add_column(name, justify="right")
    for each in outcomes:
        books = each.audit
        counts = (each.boards, len(books.lost), len(books.doubled), len(books.late), books.unjudged)
        style = None if each.ok else "red"
        table.add_row(each.fault, *map(str, counts), f"{each.recovery_s:.1f}", style=style)
    return table


def _keep(folder: Path, choice: Choice, outcomes: Sequence[Outcome], console: Console, *, needed: bool) -> None:
    report = json.dumps([asdict(each) for each in outcomes], ensure_ascii=False, indent=1)
    if choice.json:
        Path(choice.json).write_text(report, encoding="utf-8")
    if needed:
        kept = _KEPT / f"seed-{choice.seed}-{os.getpid()}"
        _copy_logs(folder, kept)
        (kept / "outcomes.json").write_text(report, encoding="utf-8")
        console.print(f"the logs of this run are in {kept}")
    shutil.rmtree(folder, ignore_errors=True)


def _copy_logs(folder: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for name in _LOGS:
        source, target = folder / name, kept / name.replace("/", "-")
        with suppress(OSError):  # some of it may not have come to be
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
