"""The books see what is missing, what is there twice, and what came too late."""

from dataclasses import replace

import pytest

from faults.books import Evidence, InspectionRow, Pass, ReportRow, audit, strangers
from pcb_bus.contract.times import NS_PER_S

AT = 1_795_248_000 * NS_PER_S
BOARD = Pass("board-1", "verdict-1", AT)
ROW = InspectionRow("verdict-1", "board-1", "ok", "solder")
FIRED = ReportRow("verdict-1", "fired", AT + NS_PER_S // 10)
GOOD = Evidence(
    triggers={"verdict-1": 1},
    inspections=(ROW,),
    reports=(FIRED,),
    pulses={"verdict-1": 1},
    deadlines={"verdict-1": AT + NS_PER_S},
)


def test_a_board_with_one_of_each_is_accounted_for() -> None:
    found = audit([BOARD], GOOD)
    assert found.balanced
    assert found.unjudged == 0
    assert strangers([BOARD], GOOD) == ()


@pytest.mark.parametrize(
    ("evidence", "complaint"),
    [
        (replace(GOOD, triggers={}), "no trigger on record"),
        (replace(GOOD, inspections=()), "no inspection on record"),
        (replace(GOOD, inspections=(replace(ROW, verdict_id="another"),)), "no inspection on record"),
        (replace(GOOD, reports=(), pulses={}), "no report of the gates"),
        (replace(GOOD, reports=(replace(FIRED, outcome="duplicate"),), pulses={}), "no report of the gates"),
        (replace(GOOD, pulses={}), "no pin went high"),
    ],
)
def test_what_is_missing_is_lost(evidence: Evidence, complaint: str) -> None:
    found = audit([BOARD], evidence)
    assert len(found.lost) == 1
    assert found.lost[0].startswith("board-1: ")
    assert complaint in found.lost[0]
    assert found.doubled == ()


@pytest.mark.parametrize(
    ("evidence", "complaint"),
    [
        (replace(GOOD, triggers={"verdict-1": 2}), "2 triggers"),
        (replace(GOOD, inspections=(ROW, ROW)), "2 inspections"),
        (replace(GOOD, inspections=(ROW, replace(ROW, verdict_id="another"))), "2 inspections"),
        (replace(GOOD, reports=(FIRED, replace(FIRED, outcome="late", fired_at=None))), "2 reports"),
        (replace(GOOD, pulses={"verdict-1": 2}), "2 pulses"),
    ],
)
def test_what_is_there_twice_is_doubled(evidence: Evidence, complaint: str) -> None:
    found = audit([BOARD], evidence)
    assert found.lost == ()
    assert found.doubled == (f"board-1: {complaint}",)


def test_a_board_without_a_verdict_needs_no_report() -> None:
    missing = replace(ROW, status="missing", category="unjudged")
    found = audit([BOARD], replace(GOOD, inspections=(missing,), reports=(), pulses={}))
    assert found.balanced
    assert found.unjudged == 1


def test_a_repeat_at_the_gates_doubles_nothing() -> None:
    again = replace(FIRED, outcome="duplicate", fired_at=None)
    assert audit([BOARD], replace(GOOD, reports=(FIRED, again))).balanced


def test_a_gate_that_fired_after_the_deadline_is_late() -> None:
    found = audit([BOARD], replace(GOOD, reports=(replace(FIRED, fired_at=AT + 2 * NS_PER_S),)))
    assert found.late == ("board-1: fired 1000 ms after its deadline",)
    assert not found.balanced


@pytest.mark.parametrize("late_s", [0, 2])
def test_a_clock_that_was_off_neither_makes_a_pulse_late_nor_hides_that_it_was(late_s: int) -> None:
    hour = 3600 * NS_PER_S
    fired = replace(FIRED, fired_at=AT - hour + NS_PER_S // 10 + late_s * NS_PER_S)
    found = audit([BOARD], replace(GOOD, reports=(fired,), offsets=(0, -hour)))
    assert bool(found.late) == bool(late_s)


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (Evidence(triggers={"stranger": 1}), "trigger"),
        (Evidence(inspections=(InspectionRow("stranger", "no-board", "ok", "normal"),)), "inspection"),
        (Evidence(reports=(ReportRow("stranger", "fired", AT),)), "report"),
        (Evidence(pulses={"stranger": 1}), "pulse"),
    ],
)
def test_what_no_board_asked_for_is_named(evidence: Evidence, kind: str) -> None:
    assert strangers([BOARD], evidence) == (f"{kind} stranger: no board asked for it",)


def test_that_a_malformed_verdict_was_rejected_may_be_on_record() -> None:
    assert strangers([BOARD], Evidence(reports=(ReportRow("garbled", "rejected", None),))) == ()
