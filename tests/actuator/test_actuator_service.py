"""The whole actuator in this process, on mock pins, against a real broker."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory
from support.gate_line import SHORT_PULSES, GateLine, hung_disk
from support.peer import broker_settings, until
from support.probe import Received
from support.recording import lose_everything, recorded, recording

from actuator.gates import open_gates
from actuator.metrics import RECEIVED_TO_HIGH
from actuator.service import ActuatorService
from actuator.settings import ActuatorLineSettings
from actuator.verdicts import Subject
from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, GpioSignal, Recorded, Trigger, Unreported, UnreportedVerdict, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns, steady_ns
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import Pace
from pcb_bus.runtime.clock import LineClock
from pcb_bus.runtime.line_time import tell_time
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import LineSettings
from records.tables import Actuation as RecordedActuation

MakeVerdict = Callable[..., Verdict]
TAXONOMY = Path(__file__).parents[2] / "config" / "pcb_defects.yaml"
QUICK = Pace(after_ns=100 * NS_PER_MS, gap_ns=10 * NS_PER_MS)
HOUR_MS = 3_600_000
SCRAP_500 = {"scrap": {"pin": 22, "duration_ms": 500}, "component": {"pin": 17, "duration_ms": 500}}


def test_pin_22_is_high_for_500_ms_once(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.gates = SCRAP_500
    verdict = make_verdict().model_copy(update={"gpio_signal": GpioSignal(pin=17, action="HIGH", duration_ms=9)})
    with line.running():
        line.publish(verdict)
        (report,) = line.reports(1)
        until(lambda: line.history(22) == [False, True, False])
    assert (report.outcome, report.pin, report.duration_ms) == ("fired", 22, 500)
    assert (report.verdict_id, report.board_id, report.category) == ("v1", "board-v1", "scrap")
    assert report.latency_ms is not None
    assert report.latency_ms >= 50
    assert line.pins.pin(22).states[2].timestamp >= 0.4999
    assert line.history(17) == [False]


def test_a_repeated_verdict_fires_once_even_after_a_restart(line: GateLine, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(good_for_ms=30_000)
    with line.running():
        line.publish(verdict)
        line.publish(verdict)
        assert line.outcomes(2) == [("v1", "fired"), ("v1", "duplicate")]
    with line.running():
        line.publish(verdict)
        assert line.outcomes(3)[2] == ("v1", "duplicate")
    assert line.history(22) == [False, True, False]


def test_a_retained_verdict_fires_nothing(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.publish(make_verdict("before", good_for_ms=30_000), retain=True)
    with line.running():
        line.publish(make_verdict("while"), retain=True)
        line.publish(b"", retain=True)
        line.publish(make_verdict("after", "unjudged"))
        assert line.outcomes(2) == [("while", "retained"), ("after", "unjudged")]
    assert line.ever_high == []


@contextmanager
def inference_tells_the_time(broker: Broker) -> Iterator[None]:
    inference = Service("inference_subscriber", "inference", LineSettings(broker=broker_settings(broker)))
    tell_time(inference)
    inference.start()
    yield
    inference.stop()


def clock_offset_ms(line: GateLine) -> float:
    """Once it is known."""
    status = line.viewer.wait_for(
        "pcb/status/actuator", lambda each: json.loads(each.payload)["clock_offset_ms"] is not None
    )
    return float(json.loads(status.payload)["clock_offset_ms"])


def test_it_says_how_far_its_clock_is_off_that_of_inference(line: GateLine, broker: Broker) -> None:
    with inference_tells_the_time(broker), line.running():
        assert abs(clock_offset_ms(line)) < 1000


@pytest.mark.parametrize(("years", "unmeasured"), [(-50, "rejected"), (50, "late")])
def test_a_clock_that_is_years_off_fires_nothing_until_that_is_measured_and_then_by_the_lines_time(
    years: int,
    unmeasured: str,
    line: GateLine,
    broker: Broker,
    make_verdict: MakeVerdict,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    off = years * 31_556_952 * NS_PER_S
    monkeypatch.setattr("pcb_bus.runtime.line_time._EVERY_S", 0.2)
    waited_s = RECEIVED_TO_HIGH._sum.get()
    with line.running(clock=LineClock(lambda: now_ns() + off, lambda: steady_ns() + off)) as service:
        session = service._service.session
        arrived = session._delivery
        monkeypatch.setattr(session, "_delivery", lambda message: replace(arrived(message), received_at=now_ns() + off))
        line.publish(make_verdict("unmeasured", good_for_ms=30_000))
        assert line.outcomes(1) == [("unmeasured", unmeasured)]
        with inference_tells_the_time(broker):
            assert clock_offset_ms(line) == pytest.approx(-off / NS_PER_MS, abs=60_000)
            line.publish(make_verdict("fresh", good_for_ms=30_000))
            line.publish(make_verdict("old", at=now_ns() - 3 * NS_PER_S))
            line.publish(make_verdict("of tomorrow", at=now_ns() + 24 * HOUR_MS * NS_PER_MS))
            reports = {report.verdict_id: report for report in line.reports(4)}
    outcomes = {board: report.outcome for board, report in reports.items()}
    assert outcomes == {"unmeasured": unmeasured, "fresh": "fired", "old": "late", "of tomorrow": "rejected"}
    fired = reports["fresh"]
    assert fired.fired_at is not None
    assert abs(fired.fired_at - now_ns()) < 60 * NS_PER_S
    assert fired.latency_ms is not None
    assert 50 <= fired.latency_ms < 60_000
    assert 0 <= RECEIVED_TO_HIGH._sum.get() - waited_s < 60


def test_late_and_future_verdicts_fire_nothing(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running():
        line.publish(make_verdict("late", at=now_ns() - 10 * NS_PER_S))
        line.publish(make_verdict("future", at=now_ns() + 10 * NS_PER_S))
        line.publish(make_verdict("for ever", good_for_ms=1e9))
        assert [outcome for _, outcome in line.outcomes(3)] == ["late", "rejected", "rejected"]
    assert line.ever_high == []


def test_a_normal_board_on_a_line_without_a_gate_for_it(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running():
        line.publish(make_verdict(category="normal"))
        assert line.outcomes(1) == [("v1", "no_gate")]
    assert b'"error"' not in b"".join(each.payload for each in line.viewer.received("pcb/event/actuator"))


def test_malformed_verdicts_harm_nothing(line: GateLine, make_verdict: MakeVerdict) -> None:
    sound = json.loads(encode_json(make_verdict("broken")))
    with line.running():
        for payload in (b"", b"\x00\xff\xd8", b"{", b"[]", b"NaN", b'{"verdict_id": 7}'):
            line.publish(payload)
        line.publish(json.dumps({**sound, "verdict_id": "nan", "confidence": float("nan")}).encode())
        line.publish(json.dumps({**sound, "verdict_id": "golden", "category": "golden"}).encode())
        line.publish(make_verdict("sound"))
        reports = [(each.verdict_id, each.category, each.outcome) for each in line.reports(3)]
        line.wait_event("an unreadable verdict fired nothing")
    assert reports == [("nan", "scrap", "rejected"), ("golden", "golden", "rejected"), ("sound", "scrap", "fired")]
    events = line.viewer.received("pcb/event/actuator")
    assert sum(b"unreadable" in each.payload for each in events) == 1
    assert line.history(22) == [False, True, False]


# A gate downstream


@pytest.mark.parametrize("off_ms", [-HOUR_MS, 0, HOUR_MS])
def test_a_pulse_downstream_comes_at_its_time_whatever_the_cameras_clock_says(
    off_ms: int, line: GateLine, make_verdict: MakeVerdict
) -> None:
    line.gates = {"solder": {"pin": 27, "duration_ms": 10, "gate_delay_ms": 400}}
    line.actuator["max_lag_ms"] = 5000  # a busy machine is no fault here
    with line.running() as service:
        began = line.pins.pin(27)._last_change
        seen = time.monotonic()
        trigger = line.trigger("b", off_ms=off_ms, age_ms=50)
        heard = time.monotonic()
        verdict = make_verdict(category="solder", good_for_ms=10_000, trigger=trigger)
        line.publish(verdict.model_copy(update={"captured_at": trigger.triggered_at}))
        (report,) = line.reports(1)
        due = service._moments.of(report.verdict_id)
        assert due is not None
    (rise,) = line.rises(27)
    error_ms = (began + rise - due / NS_PER_S) * 1000 - 400
    print(f"camera {off_ms / HOUR_MS:+.0f} h off: {error_ms:.2f} ms after its time")
    assert error_ms >= 0
    assert seen - 0.050 <= due / NS_PER_S <= heard
    assert report.outcome == "fired"
    assert report.latency_ms == pytest.approx(400 + error_ms, abs=1)


def test_without_a_trigger_the_gate_downstream_stays_silent_and_that_is_told(
    line: GateLine, make_verdict: MakeVerdict
) -> None:
    with line.running():
        line.publish(make_verdict(category="solder", good_for_ms=30_000))
        assert line.outcomes(1) == [("v1", "rejected")]
        line.wait_event("a gate stays silent: its trigger was not heard in time")
    assert line.ever_high == []


def test_a_retained_trigger_moves_no_gate(line: GateLine, make_verdict: MakeVerdict) -> None:
    trigger = Trigger(board_id="b", triggered_at=now_ns() // NS_PER_MS * NS_PER_MS, source="eye", age_ms=0.0)
    with line.running():
        line.eye.publish("pcb/trigger", encode_json(trigger), retain=True)
        line.publish(make_verdict(category="solder", good_for_ms=30_000, trigger=trigger))
        assert line.reports(1)[0].outcome == "rejected"


# Outages


def test_verdicts_missed_while_down_are_never_fired(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running():
        pass
    line.publish(make_verdict("missed", good_for_ms=30_000))
    with line.running():
        line.publish(make_verdict("next"))
        assert line.outcomes(1) == [("next", "fired")]
    assert line.history(22) == [False, True, False]


def named(verdict_id: str, category: str = "scrap") -> UnreportedVerdict:
    return UnreportedVerdict(verdict_id=verdict_id, board_id=f"board-{verdict_id}", category=category)


def test_what_the_recorder_misses_is_answered_once_and_truly(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running():
        waits = make_verdict(category="solder", good_for_ms=30_000, trigger=line.trigger("b"))
        line.publish(waits)
        line.publish(make_verdict("known"))
        assert line.outcomes(1) == [("known", "fired")]
        asked = (named(waits.verdict_id), named("known"), named("lost"), named("lost"), named("unseen", "unjudged"))
        line.recorder.publish("pcb/unreported", encode_json(Unreported(verdicts=asked)))
        assert line.outcomes(4)[1:] == [("known", "fired"), ("lost", "late"), ("unseen", "unjudged")]
        line.publish(make_verdict("lost"))
        assert line.outcomes(5)[4] == ("lost", "duplicate")
        line.recorder.publish("pcb/unreported", b'{"v": 1, "verdicts": 7}')
    assert line.history(22) == [False, True, False]
    said = [each.payload for each in line.viewer.received("pcb/actuation") if b'"known"' in each.payload]
    assert len(set(said)) == 1


def test_fresh_verdicts_overtake_what_the_recorder_misses(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running() as service:
        with hung_disk(service):  # so that both wait
            missed = tuple(named(f"v{number}") for number in range(50))
            line.recorder.publish("pcb/unreported", encode_json(Unreported(verdicts=missed)))
            line.publish(make_verdict("fresh", good_for_ms=30_000))
        assert ("fresh", "fired") in line.outcomes(3)[:3]
        assert len({verdict_id for verdict_id, _ in line.outcomes(51)}) == 51


def test_fires_again_after_the_broker_was_away(line: GateLine, make_verdict: MakeVerdict) -> None:
    with line.running() as service:
        line.publish(make_verdict("before"))
        assert line.outcomes(1) == [("before", "fired")]
        line.broker.stop()
        line.broker.start()
        assert service.wait_connected(timeout=10)
        line.hear()
        line.publish(make_verdict("after"))
        assert ("after", "fired") in line.outcomes(1)


# Reports


def test_a_report_goes_out_again_until_the_recorder_names_it_also_after_a_restart(
    line: GateLine, make_verdict: MakeVerdict
) -> None:
    line.pace = QUICK
    recorder = line.recorder
    recorder.subscribe("pcb/resend/actuation")
    with line.running():
        line.publish(make_verdict("a", "unjudged"))
        assert line.outcomes(1) == [("a", "unjudged")]
        again = recorder.wait_for_count("pcb/resend/actuation", 2)
        assert {each.payload for each in again} == {line.viewer.received("pcb/actuation")[0].payload}
    count = len(recorder.received("pcb/resend/actuation"))
    with line.running():
        recorder.wait_for_count("pcb/resend/actuation", count + 2)
        recorder.publish("pcb/recorded", b"no JSON")
        recorder.publish("pcb/recorded", encode_json(Recorded(verdicts=("b",), actuations=("a",))))
        line.publish(make_verdict("b", "unjudged"))
        recorder.wait_for_count("pcb/resend/actuation", 3, is_about_b)
    sent = recorder.received("pcb/resend/actuation")
    first_b = next(index for index, each in enumerate(sent) if is_about_b(each))
    assert all(map(is_about_b, sent[first_b:]))
    assert len(line.viewer.received("pcb/actuation")) == 2


def is_about_b(received: Received) -> bool:
    return b'"verdict_id":"b"' in received.payload


def late(name: str) -> bytes:
    return encode_json(Subject(verdict_id=name, board_id="board", category="scrap").report("late"))


def test_fresh_reports_overtake_a_backlog_and_a_full_outbox_is_told_of(
    line: GateLine, make_verdict: MakeVerdict
) -> None:
    line.actuator["outbox_rows"] = 201
    outbox = Outbox(line.actuator["outbox"])
    names = [f"old-{number}" for number in range(200)]
    for name in names:
        outbox.keep(name, late(name))
    outbox.close()
    recorder = line.recorder
    recorder.subscribe("pcb/resend/actuation")
    line.pace = Pace(after_ns=60 * NS_PER_S, gap_ns=10 * NS_PER_MS, batch=3)
    with line.running():
        line.wait_event("the outbox is nearly full")
        recorder.wait_for("pcb/resend/actuation")  # one asks whether there is a recorder
        recorder.publish("pcb/recorded", encode_json(Recorded()))
        recorder.wait_for_count("pcb/resend/actuation", 30)
        line.publish(make_verdict("fresh"))
        assert line.outcomes(1) == [("fresh", "fired")]
        assert len(recorder.received("pcb/resend/actuation")) < 200
        line.publish(make_verdict("too many", "unjudged"))
        assert line.outcomes(2)[1] == ("too many", "unjudged")
        line.wait_event('"critical"')
        line.wait_state("the outbox takes no more")
        sent = recorder.wait_for_count("pcb/resend/actuation", 201, lambda each: b"old-" in each.payload)
    assert [decode_json(Actuation, each.payload).verdict_id for each in sent] == [names[0], *names]


def test_a_broker_that_loses_all_sessions_and_messages_loses_no_report(
    line: GateLine, broker: Broker, make_verdict: MakeVerdict, tmp_path: Path
) -> None:
    line.pace = QUICK
    names = [f"v{number:02}" for number in range(20)]
    with recording(broker, tmp_path):
        pass
    # The recorder is away; reports wait in its session at the broker.
    with line.running() as service:
        for name in names:
            line.publish(make_verdict(name, "unjudged"))
        line.reports(len(names))
        lose_everything(broker)
        with recording(broker, tmp_path):
            until(lambda: len(service._outbox) == 0, timeout=20)
    assert recorded(tmp_path, RecordedActuation.verdict_id) == names


# Files


def test_a_damaged_ledger_is_set_aside_and_the_gates_wait_for_a_person(
    line: GateLine, make_verdict: MakeVerdict
) -> None:
    line.actuator["ledger"].write_bytes(b"not a database" * 500)
    with line.running():
        line.wait_event("damaged")
        line.wait_state("degraded", "disarmed")
        line.publish(make_verdict("first"))
        assert line.outcomes(1) == [("first", "disarmed")]
        assert line.ask("arm")["result"] == {"armed": True}
        line.publish(make_verdict("second"))
        assert line.outcomes(2)[1] == ("second", "fired")
    assert len(list(line.actuator["ledger"].parent.glob("ledger.db.damaged-*"))) == 1


def test_a_damaged_outbox_is_set_aside(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.actuator["outbox"].write_bytes(b"not a database" * 500)
    with line.running():
        line.wait_event("damaged")
        line.publish(make_verdict())
        assert line.outcomes(1) == [("v1", "fired")]


# Stop


def test_stop_lets_a_running_pulse_end(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.gates = SCRAP_500
    with line.running():
        line.publish(make_verdict())
        assert line.outcomes(1) == [("v1", "fired")]
    assert line.history(22) == [False, True, False]
    assert line.pins.pin(22).states[2].timestamp >= 0.4999


def test_what_waits_at_a_stop_is_reported_as_disarmed(line: GateLine, make_verdict: MakeVerdict) -> None:
    line.gates = SHORT_PULSES
    with line.running():
        line.publish(make_verdict(category="solder", good_for_ms=30_000, trigger=line.trigger("b")))
        line.publish(make_verdict("marker", "unjudged"))
        assert line.outcomes(1) == [("marker", "unjudged")]
    assert line.reports(2)[1].outcome == "disarmed"
    with line.running():
        line.publish(make_verdict("next marker", "unjudged"))
        assert line.outcomes(3)[2] == ("next marker", "unjudged")
    assert line.ever_high == []


def test_a_station_without_a_broker_starts_and_stops(free_port: int, pins: MockFactory, tmp_path: Path) -> None:
    settings = ActuatorLineSettings.model_validate(
        {
            "taxonomy": TAXONOMY,
            "broker": {"port": free_port, "credentials": tmp_path},
            "actuator": {"ledger": tmp_path / "ledger.db", "outbox": tmp_path / "outbox.db"},
        }
    )
    service = ActuatorService(settings, open_gates([17, 22, 23, 27], pins, active_low=False))
    service.start()
    service.stop()
    assert not any(each.is_alive() for each in service._service._workers.values())
