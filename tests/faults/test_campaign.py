"""A short campaign: boards pass through a few faults of each kind, and all of them are accounted for."""

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from faults import suite
from faults.catalogue import all_faults
from faults.suite import Choice, run_suite

pytestmark = pytest.mark.timeout(150)
SHORT = (
    "recorder killed",
    "actuator killed",
    "broker killed and emptied",
    "database killed",
    "connections broken at the Pis",
    "messages repeated at the PC",
    "clock ahead: actuator",
    "disk full: spool + database away",
)


def run(choice: Choice, tmp_path: Path) -> tuple[int, list[dict[str, Any]], str]:
    shown = io.StringIO()
    code = run_suite(choice, Console(file=shown, width=120))
    path = tmp_path / "outcomes.json"
    return code, json.loads(path.read_text(encoding="utf-8")) if path.exists() else [], shown.getvalue()


def test_every_board_is_accounted_for_whatever_happens(tmp_path: Path) -> None:
    choice = Choice(boards=6, only=SHORT, json=str(tmp_path / "outcomes.json"))
    code, outcomes, shown = run(choice, tmp_path)
    assert code == 0, shown
    able = [name for name in SHORT if os.geteuid() == 0 or not all_faults()[name].root]
    assert {each["fault"] for each in outcomes} == {*able, "the whole run, read again"}
    assert outcomes[-1]["boards"] == 6 * len(able)
    for name in set(SHORT) - set(able):
        assert f"skipped: {name}" in shown


def test_a_fault_that_nobody_knows_is_named(tmp_path: Path) -> None:
    code, _, shown = run(Choice(only=("no such fault",)), tmp_path)
    assert code == 2
    assert "no such fault" in shown


def test_every_kind_of_fault_is_in_the_catalogue() -> None:
    names = " ".join(all_faults())
    kinds = ("killed", "frozen", "broker", "database", "cable", "messages", "clock", "disk full", "malformed")
    assert [kind for kind in kinds if kind not in names] == []
    assert "," not in names  # which stands between the names in --only


def test_the_list_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.list_faults() == 0
    assert len(capsys.readouterr().out.splitlines()) == len(all_faults())
