"""A short campaign: boards pass through a few faults of each kind, and all of them are accounted for."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from faults import suite
from faults.books import Audit
from faults.campaign import Outcome
from faults.catalogue import Fault, all_faults
from faults.line import Means
from faults.suite import Choice, run_suite

pytestmark = pytest.mark.timeout(150)
SHORT = (
    "recorder killed",
    "actuator killed",
    "broker killed and emptied",
    "database killed",
    "messages repeated at the PC",
    "clock ahead: actuator",
    "disk full: spool + database away",
    "disk hangs: ledger + gates disarmed",
    "commands: Pis frozen",
)


def run(choice: Choice, tmp_path: Path) -> tuple[int, list[dict[str, Any]], str]:
    shown = io.StringIO()
    code = run_suite(choice, Console(file=shown, width=120))
    path = tmp_path / "outcomes.json"
    return code, json.loads(path.read_text(encoding="utf-8")) if path.exists() else [], shown.getvalue()


def test_every_board_is_accounted_for_whatever_happens(tmp_path: Path) -> None:
    choice = Choice(boards=4, only=SHORT, json=str(tmp_path / "outcomes.json"))
    code, outcomes, shown = run(choice, tmp_path)
    assert code == 0, shown
    means = Means.of_this_machine()
    able = [name for name in SHORT if not all_faults()[name].lacks(means)]
    assert {each["fault"] for each in outcomes} == {*able, "the whole run, read again"}
    assert outcomes[-1]["boards"] == 4 * len(able)
    for name in set(SHORT) - set(able):
        assert f"skipped: {name}" in shown


def test_several_seeds_are_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_one(choice: Choice, faults: Sequence[Fault], means: Means, console: Console, run: suite.Run) -> None:
        lost = ("board-1: no trigger on record",) if run.seed == 8 else ()
        run.outcomes.extend(Outcome(each.name, 5, Audit(lost, unjudged=1), 2.0) for each in faults)
        run.outcomes.append(Outcome("the whole run, read again", 5, Audit(), 0.0))

    monkeypatch.setattr(suite, "_run", run_one)
    code, outcomes, shown = run(
        Choice(seed=7, seeds=3, only=("recorder killed",), json=str(tmp_path / "outcomes.json")), tmp_path
    )
    assert code == 1
    assert [each["seed"] for each in outcomes] == [7, 7, 8, 8, 9, 9]
    assert "3 seeds together" in shown
    (line,) = [line for line in shown.splitlines() if "recorder killed" in line]
    assert [part.strip() for part in line.split("│")[2:9]] == ["15", "1", "0", "0", "0", "0", "3"]
    random = run(Choice(seed=None, seeds=2, only=("recorder killed",), json=str(tmp_path / "outcomes.json")), tmp_path)
    assert len({each["seed"] for each in random[1]}) == 2


def test_a_fault_that_nobody_knows_is_named(tmp_path: Path) -> None:
    code, _, shown = run(Choice(only=("no such fault",)), tmp_path)
    assert code == 2
    assert "no such fault" in shown


def test_every_kind_of_fault_is_in_the_catalogue() -> None:
    names = " ".join(all_faults())
    kinds = ("killed", "frozen", "broker", "database", "cable", "messages", "clock", "disk full", "malformed")
    newer = ("disk hangs", "retained commands", "commands:", "hostile values", "clock ahead: edge-left")
    assert [kind for kind in kinds + newer if kind not in names] == []
    assert "," not in names  # which stands between the names in --only


def test_the_list_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.list_faults() == 0
    assert len(capsys.readouterr().out.splitlines()) == len(all_faults())
