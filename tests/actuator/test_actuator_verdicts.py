"""Verdicts on a real ledger, outbox and pulses, with clocks that the test turns: any order of things that happen."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gate_station import RULES, START, Station

from pcb_bus.contract.codec import MAX_JSON_BYTES, encode_json
from pcb_bus.contract.messages import Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.errors import OutboxFault

MakeVerdict = Callable[..., Verdict]
YEAR_2200 = "2199-12-31T23:59:59.999Z"
EPOCH = "1970-01-01T00:00:00Z"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.close()


def seen(bench: Station, board: str = "b", *, off_ms: int = 0) -> Trigger:
    """The photo-eye sees a board now; its clock is `off_ms` ahead."""
    trigger = Trigger(board_id=board, triggered_at=bench.now + off_ms * NS_PER_MS, source="eye", age_ms=0.0)
    assert bench.trigger(trigger)
    return trigger


def altered(verdict: Verdict, **changes: Any) -> bytes:
    return json.dumps({**json.loads(encode_json(verdict)), **changes}).encode()


def test_the_report_of_a_pulse(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.pass_time(3)
    bench.judge(make_verdict(at=START))
    assert bench.published == []
    bench.work()
    (report,) = bench.reports
    assert (report.outcome, report.pin, report.duration_ms, report.latency_ms) == ("fired", 22, 500, 53.0)
    assert report.fired_at == START + 3 * NS_PER_MS


@pytest.mark.parametrize("off_ms", [-3_600_000, 400, 3_600_000])
def test_a_gate_downstream_fires_at_its_time_and_says_how_long_that_was(
    off_ms: int, bench: Station, make_verdict: MakeVerdict
) -> None:
    trigger = seen(bench, off_ms=off_ms)
    bench.pass_time(70)
    verdict = make_verdict(category="solder", at=bench.now, trigger=trigger)
    bench.judge(verdict.model_copy(update={"captured_at": trigger.triggered_at}))
    bench.pass_time(929)
    bench.step()
    assert bench.begun == []
    bench.pass_time(1)
    bench.step()
    (report,) = bench.reports
    assert (report.outcome, report.pin, report.latency_ms) == ("fired", 27, 1000.0)


def test_without_a_trigger_a_gate_downstream_stays_silent_and_that_is_told(
    bench: Station, make_verdict: MakeVerdict
) -> None:
    bench.judge(make_verdict(category="solder", at=START))
    assert (bench.begun, bench.outcomes) == ([], ["rejected"])
    (event,) = bench.events
    assert event.level == "error"
    assert "trigger was not heard" in event.message
    assert event.details["board_id"] == "board-v1"


@pytest.mark.parametrize(("hours", "latency_ms"), [(-2, 3_600_000.0), (2, 0.0)])
def test_a_latency_between_two_clocks_has_bounds(
    hours: int, latency_ms: float, bench: Station, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict(at=START)
    bench.judge(verdict.model_copy(update={"captured_at": START + hours * 3600 * NS_PER_S}))
    bench.work()
    assert [(each.outcome, each.latency_ms) for each in bench.reports] == [("fired", latency_ms)]


def test_a_verdict_is_on_disk_before_its_pin_goes_high(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.gates[22].others = lambda: bench.ledger.report_of("v1") is None
    bench.judge(make_verdict(at=START))
    assert (bench.gates[22].is_on, bench.gates[22].broke_rule) == (True, False)


def test_a_repeat_fires_nothing_and_says_so(bench: Station, make_verdict: MakeVerdict) -> None:
    for _ in range(2):
        bench.judge(make_verdict(at=START))
        bench.step()
    assert (len(bench.begun), bench.outcomes) == (1, ["fired", "duplicate"])


def test_a_repeat_while_the_first_is_under_way_is_told_of_after_it(bench: Station, make_verdict: MakeVerdict) -> None:
    trigger = seen(bench)
    for _ in range(3):
        bench.judge(make_verdict(category="solder", at=START, trigger=trigger))
    assert bench.published == []
    bench.pass_time(1000)
    bench.step()
    assert bench.outcomes == ["fired", "duplicate", "duplicate"]


def test_a_repeat_after_the_ledger_forgot_is_known_from_the_outbox(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.judge(make_verdict(at=START))
    bench.step()
    bench.record()
    bench.pass_time(31 * 60_000)
    bench.look()
    assert bench.ledger.report_of("v1") is None
    bench.judge(make_verdict(at=bench.now))
    assert (len(bench.begun), bench.outcomes) == (1, ["fired", "duplicate"])


def test_a_verdict_that_grew_late_on_a_slow_disk_does_not_fire(
    bench: Station, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bench.ledger.begin

    def write_slowly(verdict_id: str, if_crashed: bytes, now: int) -> None:
        write(verdict_id, if_crashed, now)
        bench.pass_time(101)

    monkeypatch.setattr(bench.ledger, "begin", write_slowly)
    bench.judge(make_verdict(at=START, good_for_ms=100))
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["late"])


def test_a_clock_set_back_while_a_pulse_waits_does_not_move_it(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.judge(make_verdict(category="solder", at=START, trigger=seen(bench)))
    bench.now -= 3600 * NS_PER_S
    bench.pass_time(999)
    bench.step()
    assert bench.begun == []
    bench.pass_time(1)
    bench.step()
    assert len(bench.begun) == 1


def test_a_normal_board_without_a_gate_is_no_fault(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.judge(make_verdict(category="normal", at=START))
    assert (bench.outcomes, bench.events) == (["no_gate"], [])


# Crashes


def test_after_a_crash_just_after_pin_high_nobody_knows(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.judge(make_verdict(at=START))
    assert bench.gates[22].is_on
    bench.crash()
    bench.judge(make_verdict(at=START))
    bench.step()
    assert (len(bench.begun), bench.outcomes) == (1, ["unknown", "duplicate"])
    (event,) = bench.events
    assert "nobody knows whether their gates moved" in event.message
    assert event.details["verdict_ids"] == ["v1"]


def test_after_a_crash_between_ledger_and_pin_it_is_never_fired(
    bench: Station, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.pulses, "add", lambda pulse: None)
    bench.judge(make_verdict(at=START))
    bench.crash()
    bench.judge(make_verdict(at=START))
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["unknown", "duplicate"])


def test_a_crash_before_the_outcome_is_known_is_told_of_all(bench: Station, make_verdict: MakeVerdict) -> None:
    for number in range(3):
        bench.judge(make_verdict(category="solder", at=START, trigger=seen(bench, f"b{number}")))
    bench.crash()
    bench.pass_time(2000)
    bench.step()
    assert (bench.begun, bench.outcomes) == ([], ["unknown"] * 3)
    assert (len(bench.events), bench.events[0].details["count"]) == (1, 3)


def test_a_crash_between_outbox_and_ledger_changes_no_outcome(
    bench: Station, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.ledger, "finish", lambda *_, **__: None)
    verdict = make_verdict(at=START)
    bench.judge(verdict)
    bench.step()
    bench.crash()
    bench.unreported(verdict)
    assert (bench.outcomes, bench.events) == (["fired", "fired"], [])


def test_a_crash_while_the_outbox_takes_no_more_changes_no_outcome(tmp_path: Path, make_verdict: MakeVerdict) -> None:
    bench = Station(tmp_path, outbox_rows=1)
    for name in ("fills it", "fired"):
        bench.judge(make_verdict(name, at=START))
        bench.step()
    bench.crash()
    bench.judge(make_verdict("fired", at=START))
    assert bench.outcomes == ["fired", "fired", "fired", "duplicate"]
    assert (bench.published[2], bench.events) == (bench.published[1], [])
    bench.record()
    bench.look()
    assert len(bench.outbox) == 1
    assert bench.ledger.firing() == {}
    bench.close()


def test_recovery_waits_for_a_disk_and_leaves_own_pulses_alone(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.judge(make_verdict("old", at=START))
    bench.crash()
    bench.published.clear()
    bench.verdicts._recovered = False
    bench.ledger._db.execute("UPDATE verdicts SET state = 'firing'")
    bench.outbox._db.execute("DELETE FROM waiting")
    bench.refuse_writes("ledger", "outbox")
    bench.look()
    assert bench.verdicts.fault
    bench.refuse_writes("ledger", "outbox", refuse=False)
    bench.judge(make_verdict("new", category="solder", at=START, trigger=seen(bench)))
    bench.look()
    bench.look()
    bench.pass_time(1000)
    bench.step()
    bench.look()
    assert bench.outcomes == ["unknown", "fired"]


# Reports


def test_a_report_goes_out_again_until_it_is_recorded_also_after_a_crash(
    bench: Station, make_verdict: MakeVerdict
) -> None:
    bench.judge(make_verdict(at=START))
    bench.step()
    bench.resend()
    assert set(bench.resent) == set(bench.published)
    bench.resent.clear()
    bench.crash()
    bench.resend()
    assert set(bench.resent) == set(bench.published)
    assert len(bench.published) == 1
    bench.record()
    bench.resent.clear()
    bench.resend()
    bench.crash()
    bench.resend()
    assert bench.resent == []


@pytest.mark.parametrize(
    ("category", "fired", "outcome"),
    [("scrap", True, "fired"), ("scrap", False, "late"), ("normal", False, "late"), ("unjudged", False, "unjudged")],
)
def test_what_the_recorder_misses_is_answered_once_and_truly(
    category: str, fired: bool, outcome: str, bench: Station, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict(category=category, at=START)
    if fired:
        bench.judge(verdict)
        bench.step()
    bench.unreported(verdict)
    assert bench.outcomes == [outcome] * (1 + fired)
    assert len(set(bench.published)) == 1
    assert len(bench.outbox) == 1
    bench.unreported(verdict)
    bench.judge(verdict)
    bench.step()
    assert (len(bench.begun), bench.outcomes[-1]) == (fired, "duplicate")
    assert len(set(bench.published)) == 2


def test_what_is_under_way_or_not_written_down_is_left_alone(bench: Station, make_verdict: MakeVerdict) -> None:
    waits = make_verdict(category="solder", at=START, trigger=seen(bench))
    bench.judge(waits)
    bench.unreported(waits)
    bench.refuse_writes("ledger", "outbox")
    unwritten = make_verdict("unwritten", "unjudged", START)
    bench.judge(unwritten)
    assert bench.outcomes == ["unjudged"]
    bench.unreported(unwritten)
    assert bench.outcomes == ["unjudged"]


# A disk that takes nothing, or cannot be read


def test_a_disk_that_takes_nothing_fires_nothing_and_reports_are_written_down_later(
    bench: Station, make_verdict: MakeVerdict
) -> None:
    bench.refuse_writes("ledger", "outbox")
    names = [f"v{number}" for number in range(50)]
    for name in names:
        bench.judge(make_verdict(name, at=START))
    bench.judge(make_verdict("v7", at=START))
    bench.look()
    assert (bench.begun, bench.outcomes) == ([], ["rejected"] * 50 + ["duplicate"])
    assert "readonly" in bench.verdicts.fault
    bench.refuse_writes("ledger", "outbox", refuse=False)
    for _ in range(3):
        bench.look()
    assert (bench.verdicts.fault, len(bench.outbox)) == ("", 50)


def test_a_backlog_is_written_down_bit_by_bit(bench: Station, make_verdict: MakeVerdict) -> None:
    bench.refuse_writes("outbox")
    for number in range(100):
        bench.judge(make_verdict(f"v{number}", "unjudged", START))
    bench.refuse_writes("outbox", refuse=False)
    bench.look()
    assert 0 < len(bench.outbox) <= 20


def test_what_is_kept_in_mind_is_bounded(
    bench: Station, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actuator.verdicts._IN_MIND", 3)
    bench.refuse_writes("outbox")
    for number in range(5):
        bench.judge(make_verdict(f"v{number}", "unjudged", START))
    assert list(bench.verdicts._in_mind) == ["v2", "v3", "v4"]


def test_a_disk_that_cannot_be_read_changes_no_outcome_that_is_written(
    bench: Station, make_verdict: MakeVerdict
) -> None:
    bench.judge(make_verdict(at=START))
    bench.step()
    path = bench.folder / "ledger.db"
    bench.ledger._db.close()
    bench.judge(make_verdict(at=START))
    assert (len(bench.begun), bench.outcomes[-1]) == (1, "duplicate")
    bench.ledger._db = sqlite3.connect(path, isolation_level=None)
    bench.look()
    bench.unreported(make_verdict(at=START))
    assert bench.reports[-1].outcome == "fired"


def test_more_pulses_than_may_wait_are_refused(bench: Station, make_verdict: MakeVerdict) -> None:
    for number in range(RULES.max_waiting + 1):
        bench.judge(make_verdict(category="solder", at=START, trigger=seen(bench, f"b{number}")))
    assert bench.outcomes == ["rejected"]
    assert "too many pulses wait" in bench.events[0].message


# What strangers send


def test_a_broken_verdict_with_ids_is_rejected_once(bench: Station) -> None:
    payload = b'{"v": 1, "verdict_id": "x", "board_id": "b", "category": "golden"}'
    for _ in range(2):
        bench.judge(payload)
    assert [(each.outcome, each.category) for each in bench.reports] == [
        ("rejected", "golden"),
        ("duplicate", "golden"),
    ]
    assert len(bench.rejected) == 2


@pytest.mark.parametrize(
    ("changes", "category"),
    [
        ({"category": "golden"}, "golden"),
        ({"category": 7}, "unknown"),
        ({"category": ""}, "unknown"),
        ({"category": "x" * 129}, "unknown"),
        ({"confidence": float("nan")}, "scrap"),
        ({"captured_at": 1}, "scrap"),
        ({"deadline_at": None}, "scrap"),
        ({"gpio_signal": {"pin": 99, "action": "HIGH", "duration_ms": 1}}, "scrap"),
        ({"v": 2}, "scrap"),
    ],
)
def test_a_broken_verdict_is_rejected_if_its_ids_can_be_read(
    changes: dict[str, Any], category: str, bench: Station, make_verdict: MakeVerdict
) -> None:
    bench.judge(altered(make_verdict(at=START), **changes))
    assert [(each.verdict_id, each.category, each.outcome) for each in bench.reports] == [("v1", category, "rejected")]
    assert [each.reason for each in bench.rejected] == ["schema"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_json"),
        (b"\xff\xd8\xff", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"NaN", "schema"),
        (b"[]", "schema"),
        (b'{"verdict_id": "a"}', "schema"),
        (b'{"verdict_id": 1, "board_id": "b"}', "schema"),
        (b'{"verdict_id": "a ", "board_id": "b"}', "schema"),
        (b'{"verdict_id": "' + b"a" * 129 + b'", "board_id": "b"}', "schema"),
        (b'{"verdict_id": "\\ud800", "board_id": "b"}', "not_json"),
        (b'{"verdict_id": "a", "board_id": "b", "x": "' + b"x" * MAX_JSON_BYTES + b'"}', "too_large"),
        (b"[" * 10_000, "not_json"),
    ],
)
def test_what_cannot_be_read_is_told_of_and_nothing_else(payload: bytes, reason: str, bench: Station) -> None:
    bench.judge(payload)
    assert (bench.published, [each.reason for each in bench.rejected]) == ([], [reason])
    assert [each.message for each in bench.events] == ["an unreadable verdict fired nothing"]


@given(
    payload=st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(json.dumps).map(str.encode)
)
def test_no_payload_is_a_fault(payload: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    bench = Station(tmp_path_factory.mktemp("station"))
    bench.judge(payload)
    assert (bench.published, len(bench.rejected)) == ([], 1)
    bench.close()


TIMES = st.sampled_from([EPOCH, "2027-01-15T08:00:00Z", "2027-01-15t08:00:00.05+09:00", YEAR_2200])
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=128).map(str.strip).filter(bool)
EXTREMES = st.fixed_dictionaries(
    {},
    optional={
        "verdict_id": IDS,
        "board_id": IDS,
        "serial": IDS,
        "status": st.sampled_from(["ok", "incomplete"]),
        "final_defect_type": IDS,
        "category": st.sampled_from(["scrap", "solder", "component", "normal", "unjudged"]),
        "confidence": st.sampled_from([0, 1, 5e-324]),
        "gpio_signal": st.just({"pin": 27.0, "action": "LOW", "duration_ms": 60_000}),
        "captured_at": TIMES,
        "judged_at": TIMES,
        "deadline_at": TIMES,
        "latency_ms": st.sampled_from([0, 1e9]),
        "timing": st.just({"ready_at": EPOCH, "inference_ms": 1e9}),
    },
)


@given(changes=EXTREMES, heard=st.booleans(), triggered_at=st.sampled_from([0, START, 7_258_118_399 * NS_PER_S]))
def test_hostile_but_legal_values_have_one_outcome_and_a_sound_report(
    changes: dict[str, Any],
    heard: bool,
    triggered_at: int,
    make_verdict: MakeVerdict,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bench = Station(tmp_path_factory.mktemp("station"))
    trigger = Trigger(board_id="b", triggered_at=triggered_at, source="eye", age_ms=1e9 if triggered_at else 0.0)
    if heard:
        bench.trigger(trigger)
    bench.judge(altered(make_verdict(at=START, trigger=trigger), **changes))
    bench.pass_time(1000)
    bench.step()
    assert bench.rejected == []
    (report,) = bench.reports
    assert report.outcome == "fired" or bench.begun == []
    assert len(bench.outbox) == 1
    bench.pass_time(1000)
    bench.step()
    assert not any(gate.is_on for gate in bench.gates.values())
    bench.close()


def test_an_outbox_that_cannot_be_read_is_a_fault_and_refuses_no_repeat_of_what_fired(
    bench: Station, make_verdict: MakeVerdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> bool:
        raise OutboxFault("malformed")

    bench.judge(make_verdict("fired", at=START))
    bench.step()
    monkeypatch.setattr(bench.outbox, "knows", fail)
    monkeypatch.setattr(bench.ledger, "report_of", fail)
    bench.judge(make_verdict("fresh", at=START))
    bench.judge(make_verdict("fired", at=START))
    bench.look()
    assert bench.outcomes == ["fired", "rejected", "duplicate"]
    assert bench.verdicts.fault == "malformed"
    monkeypatch.undo()
    bench.look()
    assert bench.verdicts.fault == ""
