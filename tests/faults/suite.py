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
from random import Random, SystemRandom

from rich.console import Console
from rich.live import Live
from rich.table import Table
from support import tmpfs

from faults.books import Audit
from faults.campaign import Campaign, Limits, Outcome
from faults.catalogue import Fault, all_faults
from faults.line import FaultLine, Means
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import BoardlineError
from simulator.schedule import BARE, Schedule

_PREFIX = "boardline-faults-"
_KEPT = Path("var/faults")
_LOGS = ("harness.log", "output", "log", "pins", "broker/mosquitto.log", "mariadb/log", "line.yaml")
_WRONG, _COUNTED = ("lost", "doubled", "late", "commands", "spoiled"), ("unjudged", "fired")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Choice:
    """What was asked for.

    Args:
        seed: of the first run; None: random ones, which are printed.
        seeds: how many runs, one after the other.
        only: names, or parts of them; all when empty.
    """

    boards: int = 15
    rate: float = 5.0
    seed: int | None = 1
    seeds: int = 1
    only: tuple[str, ...] = ()
    recovery_s: float = 40.0
    json: str | None = None
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one seed; `wanted`: how many faults were to be done."""

    seed: int
    wanted: int
    outcomes: list[Outcome]

    @property
    def clean(self) -> bool:
        return len(self.outcomes) == self.wanted + 1 and all(each.ok for each in self.outcomes)


def list_faults() -> int:
    for each in all_faults().values():
        needs = each.lacks(Means(root=False, loop=False))
        print(f"{each.name}{f'  (needs {needs})' if needs else ''}")
    return 0


def run_suite(choice: Choice, console: Console | None = None) -> int:
    """Do the faults; returns the exit code."""
    console = console or Console()
    means = Means.of_this_machine()
    wanted = _wanted(choice.only)
    if not wanted:
        console.print(f"no fault is called {', '.join(choice.only)}; --list names them")
        return 2
    able = [each for each in wanted if not each.lacks(means)]
    runs: list[Run] = []
    for seed in _seeds(choice):
        console.print(f"seed {seed}")
        runs.append(Run(seed, len(able), []))
        _run(choice, able, means, console, runs[-1])
        _write_report(choice, runs)
    if len(runs) > 1:
        console.print(f"{len(runs)} seeds together", _table(_summed(runs)))
    for each in wanted:
        if lacking := each.lacks(means):
            console.print(f"skipped: {each.name}: needs {lacking}")
    return 0 if all(each.clean for each in runs) else 1


def _seeds(choice: Choice) -> list[int]:
    if choice.seed is None:
        return [SystemRandom().randrange(10**6) for _ in range(choice.seeds)]
    return list(range(choice.seed, choice.seed + choice.seeds))


def _wanted(only: Sequence[str]) -> list[Fault]:
    return [each for each in all_faults().values() if not only or any(_means(part, each.name) for part in only)]


def _means(asked: str, name: str) -> bool:
    """A whole name means that fault alone; a part of names all that it is in."""
    return asked == name if asked in all_faults() else asked in name


def _run(choice: Choice, faults: Sequence[Fault], means: Means, console: Console, run: Run) -> None:
    tmpfs.remove_leftovers(Path(tempfile.gettempdir()), _PREFIX)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    schedule = Schedule(run.seed, choice.rate, now_ns(), look=BARE)
    try:
        with _logging_to(folder / "harness.log"), FaultLine(folder, schedule, means) as line:
            campaign = Campaign(line, Random(run.seed), Limits(choice.boards, choice.recovery_s))
            _show(campaign.run(faults), run.outcomes, console)
    except (OSError, BoardlineError) as error:
        console.print(f"seed {run.seed} ended early, the suite itself failed: {error}", markup=False)
    finally:
        if choice.keep or not run.clean:
            _keep(folder, run, console)
        shutil.rmtree(folder, ignore_errors=True)


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
    found = outcome.audit
    lines = (*outcome.trouble, *found.lost, *found.doubled, *found.late, *found.commands, *found.spoiled)
    for line in lines[:_SHOWN]:
        console.print(f"{outcome.fault}: {line}", highlight=False, markup=False)
    if len(lines) > _SHOWN:
        console.print(f"{outcome.fault}: and {len(lines) - _SHOWN} more", highlight=False, markup=False)


def _table(outcomes: Iterable[Outcome]) -> Table:
    table = Table("fault")
    for name in ("boards", *_WRONG, *_COUNTED, "recovery, s"):
        table.add_column(name, justify="right")
    for each in outcomes:
        found = each.audit
        wrong, counted = (len(getattr(found, name)) for name in _WRONG), (getattr(found, name) for name in _COUNTED)
        style = None if each.ok else "red"
        table.add_row(each.fault, *map(str, (each.boards, *wrong, *counted)), f"{each.recovery_s:.1f}", style=style)
    return table


def _summed(runs: Iterable[Run]) -> list[Outcome]:
    """Each fault's outcomes as one; its recovery is the longest."""
    by_fault: dict[str, list[Outcome]] = {}
    for outcome in (each for run in runs for each in run.outcomes):
        by_fault.setdefault(outcome.fault, []).append(outcome)
    return [_one(outcomes) for _, outcomes in sorted(by_fault.items())]


def _one(outcomes: Sequence[Outcome]) -> Outcome:
    audits = [each.audit for each in outcomes]
    audit = Audit(
        lost=tuple(line for each in audits for line in each.lost),
        doubled=tuple(line for each in audits for line in each.doubled),
        late=tuple(line for each in audits for line in each.late),
        commands=tuple(line for each in audits for line in each.commands),
        spoiled=tuple(line for each in audits for line in each.spoiled),
        unjudged=sum(each.unjudged for each in audits),
        fired=sum(each.fired for each in audits),
    )
    trouble = tuple(line for each in outcomes for line in each.trouble)
    boards, longest = sum(each.boards for each in outcomes), max(each.recovery_s for each in outcomes)
    return Outcome(outcomes[0].fault, boards, audit, longest, trouble)


def _report(runs: Iterable[Run]) -> str:
    outcomes = [{"seed": run.seed, **asdict(each)} for run in runs for each in run.outcomes]
    return json.dumps(outcomes, ensure_ascii=False, indent=1)


def _write_report(choice: Choice, runs: Iterable[Run]) -> None:
    if choice.json:
        Path(choice.json).write_text(_report(runs), encoding="utf-8")


def _keep(folder: Path, run: Run, console: Console) -> None:
    kept = _KEPT / f"seed-{run.seed}-{os.getpid()}"
    _copy_logs(folder, kept)
    (kept / "outcomes.json").write_text(_report([run]), encoding="utf-8")
    console.print(f"the logs of this run are in {kept}")


def _copy_logs(folder: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for name in _LOGS:
        source, target = folder / name, kept / name.replace("/", "-")
        with suppress(OSError):  # some of it may not have come to be
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
