"""The books see what is missing, what is there twice, and what came too late."""

from dataclasses import replace

import pytest

from faults.books import (
    Evidence,
    InspectionRow,
    Pass,
    Pulse,
    ReportRow,
    Silence,
    Slowness,
    TestPulse,
    audit,
    commands_carried_out,
    strangers,
    unexplained,
)
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S

AT = 1_795_248_000 * NS_PER_S
BOARD = Pass("board-1", "verdict-1", AT)
ROW = InspectionRow("verdict-1", "board-1", "ok", "solder")
PIN = 27
FIRED = ReportRow("verdict-1", "fired", PIN, AT + NS_PER_S // 10)
PULSE = Pulse(PIN, AT + NS_PER_S // 10, AT + NS_PER_S // 10)
GOOD = Evidence(
    triggers={"verdict-1": 1},
    inspections=(ROW,),
    reports=(FIRED,),
    pulses=(PULSE,),
    deadlines={"verdict-1": AT + NS_PER_S},
)


def test_a_board_with_one_of_each_is_accounted_for() -> None:
    found = audit([BOARD], GOOD)
    assert found.balanced
    assert (found.unjudged, found.fired) == (0, 1)
    assert strangers([BOARD], GOOD) == ()


@pytest.mark.parametrize(
    ("evidence", "complaint"),
    [
        (replace(GOOD, triggers={}), "no trigger on record"),
        (replace(GOOD, inspections=()), "no inspection on record"),
        (replace(GOOD, inspections=(replace(ROW, verdict_id="another"),)), "no inspection on record"),
        (replace(GOOD, reports=(), pulses=()), "no report of the gates"),
        (replace(GOOD, reports=(replace(FIRED, outcome="duplicate"),), pulses=()), "no report of the gates"),
        (replace(GOOD, pulses=()), "no pin went high"),
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
        (replace(GOOD, reports=(FIRED, FIRED), pulses=(PULSE, PULSE)), "2 reports; 2 pulses"),
    ],
)
def test_what_is_there_twice_is_doubled(evidence: Evidence, complaint: str) -> None:
    found = audit([BOARD], evidence)
    assert found.lost == ()
    assert found.doubled == (f"board-1: {complaint}",)


def test_a_board_without_a_verdict_needs_no_report() -> None:
    missing = replace(ROW, status="missing", category="unjudged")
    found = audit([BOARD], replace(GOOD, inspections=(missing,), reports=(), pulses=()))
    assert found.balanced
    assert found.unjudged == 1


def test_a_repeat_at_the_gates_doubles_nothing() -> None:
    again = replace(FIRED, outcome="duplicate", fired_at=None)
    assert audit([BOARD], replace(GOOD, reports=(FIRED, again))).balanced


def fired(at: int, own: int | None = None, said: int | None = None) -> Evidence:
    """A pulse at `at` by the true clock, `own` by its process's; its report names `said`, or else the latter."""
    own = at if own is None else own
    reports = (replace(FIRED, fired_at=(own if said is None else said) // NS_PER_MS * NS_PER_MS),)
    return replace(GOOD, reports=reports, pulses=(Pulse(PIN, at, own),))


def test_a_gate_that_fired_after_the_deadline_is_late() -> None:
    found = audit([BOARD], fired(AT + 2 * NS_PER_S))
    assert found.late == ("board-1: fired 1000 ms after its deadline",)
    assert not found.balanced


@pytest.mark.parametrize("late_s", [0, 2])
def test_a_clock_that_was_off_neither_makes_a_pulse_late_nor_hides_that_it_was(late_s: int) -> None:
    hour = 3600 * NS_PER_S
    at = AT + NS_PER_S // 10 + late_s * NS_PER_S
    for said in (at, at - hour, at + 2 * hour):  # corrected, not yet, and by an inference that is off itself
        found = audit([BOARD], replace(fired(at, at - hour, said), offsets=(0, -hour, 2 * hour)))
        assert found.lost == found.doubled == ()
        assert bool(found.late) == bool(late_s)
    assert audit([BOARD], replace(fired(at, at - hour, at + hour), offsets=(0, -hour, 2 * hour))).lost


@pytest.mark.parametrize(("by_ms", "late"), [(0, False), (19, False), (400, True), (-400, True)])
def test_a_pulse_downstream_has_a_time_of_its_own_and_no_deadline(by_ms: int, late: bool) -> None:
    delay = 2 * NS_PER_S
    found = audit([BOARD], replace(fired(AT + delay + by_ms * NS_PER_MS), delays={PIN: delay}))
    assert bool(found.late) == late
    assert found.downstream_ms == (by_ms,)


def test_a_trigger_that_the_suite_itself_held_up_may_move_a_pulse_downstream() -> None:
    by = 400 * NS_PER_MS
    slow = replace(fired(AT + by), delays={PIN: 0})
    assert audit([BOARD], slow).late
    assert audit([BOARD], replace(slow, slowness=(Slowness(AT, AT, by),))).late == ()
    assert audit([BOARD], replace(slow, slowness=(Slowness(AT, AT, by // 2),))).late
    assert audit([BOARD], replace(slow, slowness=(Slowness(AT + 2 * by, AT + 3 * by, by),))).late


@pytest.mark.parametrize(
    ("evidence", "kind"),
    [
        (Evidence(triggers={"stranger": 1}), "trigger"),
        (Evidence(inspections=(InspectionRow("stranger", "no-board", "ok", "normal"),)), "inspection"),
        (Evidence(reports=(ReportRow("stranger", "fired", PIN, AT),)), "report"),
    ],
)
def test_what_no_board_asked_for_is_named(evidence: Evidence, kind: str) -> None:
    assert strangers([BOARD], evidence) == (f"{kind} stranger: no board asked for it",)


def test_that_a_malformed_verdict_was_rejected_may_be_on_record() -> None:
    assert strangers([BOARD], Evidence(reports=(ReportRow("garbled", "rejected", None, None),))) == ()


def test_what_a_fault_made_up_may_be_on_record() -> None:
    evidence = Evidence(
        triggers={"made-up": 1},
        inspections=(InspectionRow("of-frames", "made-up", "ok", "normal"),),
        reports=(ReportRow("made-up", "fired", PIN, AT),),
        foreign=frozenset({"made-up"}),
    )
    assert strangers([BOARD], evidence) == ()


def test_a_pulse_of_which_no_report_speaks_is_named() -> None:
    late = replace(FIRED, outcome="late", fired_at=None)
    assert unexplained(replace(GOOD, reports=(late,))) == (PULSE,)
    assert "pin 27 went high at" in strangers([BOARD], replace(GOOD, reports=(late,)))[0]
    assert unexplained(replace(GOOD, pulses=(PULSE, replace(PULSE, pin=22)))) == (replace(PULSE, pin=22),)
    assert unexplained(replace(GOOD, pulses=(PULSE, PULSE))) == (PULSE,)


def test_after_a_crash_in_the_middle_of_a_pulse_nobody_knows() -> None:
    assert unexplained(replace(GOOD, reports=(replace(FIRED, outcome="unknown", fired_at=None),))) == ()


def test_pulses_of_neighbouring_boards_are_told_apart() -> None:
    later = replace(PULSE, at=PULSE.at + 200 * NS_PER_MS, own=PULSE.own + 200 * NS_PER_MS)
    reports = (replace(FIRED, verdict_id="verdict-2", fired_at=later.own), FIRED)
    boards = [BOARD, Pass("board-2", "verdict-2", AT)]
    evidence = replace(GOOD, reports=reports, pulses=(PULSE, later), delays={PIN: later.at - AT})
    assert audit(boards, evidence).downstream_ms == (-200.0, 0.0)


def test_only_a_test_pulse_that_was_answered_breaks_no_silence() -> None:
    silence = Silence(AT, AT + NS_PER_S, "the gates were disarmed")
    broken = replace(GOOD, silences=(silence,))
    (line,) = commands_carried_out(broken)
    assert "pin 27" in line
    assert "although the gates were disarmed" in line
    assert commands_carried_out(replace(broken, silences=(replace(silence, until=AT + 1),))) == ()
    test = TestPulse(PIN, PULSE.at - 1, PULSE.at + 1)
    assert commands_carried_out(replace(broken, reports=(), tests=(test,))) == ()
    assert commands_carried_out(replace(broken, reports=(), tests=(replace(test, pin=22),)))
    assert commands_carried_out(
        replace(broken, reports=(), pulses=(PULSE, replace(PULSE, at=PULSE.at + 1)), tests=(test,))
    )
