"""The whole actuator in this process, on mock pins, against a real broker."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory
from support.peer import until
from support.probe import Probe, Received
from support.recording import lose_everything, recorded, recording

from actuator.gates import GateBank
from actuator.ledger import Ledger
from actuator.reading import Subject
from actuator.reporter import not_fired
from actuator.service import ActuatorService
from actuator.settings import ActuatorLineSettings
from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, GpioSignal, Recorded, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.durable.resends import Pace
from recorder.tables import Actuation as RecordedActuation

MakeVerdict = Callable[..., Verdict]
OpenProbe = Callable[..., Probe]
TAXONOMY = Path(__file__).parents[2] / "config" / "pcb_defects.yaml"
PINS = (17, 22, 23, 27)
QUICK = Pace(after_ns=100 * NS_PER_MS, gap_ns=10 * NS_PER_MS)


def is_birth(received: Received) -> bool:
    return b'"offline"' not in received.payload


class Line:
    """A broker, foreign clients beside it, and an actuator that may be started more than once."""

    def __init__(self, broker: Broker, pins: MockFactory, folder: Path, open_probe: OpenProbe) -> None:
        self.pins = pins
        self.pace = Pace()
        self.settings = ActuatorLineSettings.model_validate(
            {
                "taxonomy": TAXONOMY,
                "broker": {"port": broker.port, "credentials": broker.credentials_folder},
                "actuator": {"ledger": folder / "ledger.db"},
            }
        )
        self.viewer = open_probe("viewer")
        self.viewer.subscribe("pcb/actuation", "pcb/status/actuator", "pcb/event/actuator")
        self.inference = open_probe("inference")

    @contextmanager
    def actuator(self) -> Iterator[ActuatorService]:
        service = ActuatorService(self.settings, GateBank(PINS, self.pins, active_low=False), self.pace)
        births = sum(map(is_birth, self.viewer.received("pcb/status/actuator")))
        service.start()
        try:
            self.viewer.wait_for_count("pcb/status/actuator", births + 1, is_birth)
            assert service.wait_connected(timeout=10)
            yield service
        finally:
            service.stop()

    def publish(self, verdict: Verdict | bytes, *, retain: bool = False) -> None:
        payload = verdict if isinstance(verdict, bytes) else encode_json(verdict)
        assert self.inference.publish("pcb/verdict", payload, retain=retain) < 0x80

    def outcomes(self, count: int) -> list[str]:
        return [report.outcome for report in self.reports(count)]

    def reports(self, count: int) -> list[Actuation]:
        return [decode_json(Actuation, each.payload) for each in self.viewer.wait_for_count("pcb/actuation", count)]

    def history(self, pin: int) -> list[bool]:
        return [state.state for state in self.pins.pin(pin).states]

    def wait_history(self, pin: int, expected: list[bool]) -> None:
        give_up = time.monotonic() + 5
        while self.history(pin) != expected:
            assert time.monotonic() < give_up, self.history(pin)
            time.sleep(0.005)


@pytest.fixture
def line(broker: Broker, pins: MockFactory, tmp_path: Path, mqtt_probe: OpenProbe) -> Line:
    return Line(broker, pins, tmp_path, mqtt_probe)


def test_pin_22_is_high_for_500_ms_once(line: Line, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict().model_copy(update={"gpio_signal": GpioSignal(pin=17, action="HIGH", duration_ms=9)})
    with line.actuator():
        line.publish(verdict)
        (report,) = line.reports(1)
        line.wait_history(22, [False, True, False])
    assert (report.outcome, report.pin, report.duration_ms) == ("fired", 22, 500)
    assert (report.verdict_id, report.board_id, report.category) == ("v1", "board-v1", "scrap")
    assert report.latency_ms is not None
    assert 50 <= report.latency_ms < 5000
    assert 0.4999 <= line.pins.pin(22).states[2].timestamp < 0.6
    assert line.history(17) == [False]


def test_repeated_verdict_fires_once_even_after_a_restart(line: Line, make_verdict: MakeVerdict) -> None:
    verdict = make_verdict(good_for_ms=30_000)
    with line.actuator():
        line.publish(verdict)
        line.publish(verdict)
        assert line.outcomes(2) == ["fired", "duplicate"]
    with line.actuator():
        line.publish(verdict)
        assert line.outcomes(3) == ["fired", "duplicate", "duplicate"]
    assert line.history(22) == [False, True, False]


def test_retained_verdict_fires_nothing(line: Line, make_verdict: MakeVerdict) -> None:
    line.publish(make_verdict("before", good_for_ms=30_000), retain=True)
    with line.actuator():
        line.publish(make_verdict("while"), retain=True)
        line.publish(make_verdict("after", "unjudged"))
        assert [(each.verdict_id, each.outcome) for each in line.reports(2)] == [
            ("while", "retained"),
            ("after", "unjudged"),
        ]
    assert line.history(22) == [False]


def test_late_and_future_verdicts_fire_nothing(line: Line, make_verdict: MakeVerdict) -> None:
    with line.actuator():
        line.publish(make_verdict("late", at=time.time_ns() - 10**10))
        line.publish(make_verdict("future", at=time.time_ns() + 10**10))
        line.publish(make_verdict("for ever", good_for_ms=1e9))
        assert line.outcomes(3) == ["late", "rejected", "rejected"]
    assert line.history(22) == [False]


def test_malformed_verdicts_harm_nothing(line: Line, make_verdict: MakeVerdict) -> None:
    sound = json.loads(encode_json(make_verdict("broken")))
    with line.actuator():
        for payload in (b"", b"\x00\xff\xd8", b"{", b"[]", b"NaN", b'{"verdict_id": 7}'):
            line.publish(payload)
        line.publish(json.dumps({**sound, "verdict_id": "nan", "confidence": float("nan")}).encode())
        line.publish(json.dumps({**sound, "verdict_id": "golden", "category": "golden"}).encode())
        line.publish(make_verdict("sound"))
        reports = [(each.verdict_id, each.category, each.outcome) for each in line.reports(3)]
        event = json.loads(line.viewer.wait_for("pcb/event/actuator").payload)
    assert reports == [("nan", "scrap", "rejected"), ("golden", "golden", "rejected"), ("sound", "scrap", "fired")]
    assert event["message"] == "an unreadable verdict fired nothing"
    assert len(line.viewer.received("pcb/event/actuator")) == 1
    assert line.history(22) == [False, True, False]


def test_verdicts_missed_while_down_are_reported_once_and_never_fired(line: Line, make_verdict: MakeVerdict) -> None:
    with line.actuator():
        pass
    line.publish(make_verdict("scrap", good_for_ms=30_000))
    line.publish(make_verdict("unjudged", "unjudged"))
    with line.actuator():
        assert [(each.verdict_id, each.outcome) for each in line.reports(2)] == [
            ("scrap", "late"),
            ("unjudged", "unjudged"),
        ]
    with line.actuator():
        line.publish(make_verdict("next"))
        assert line.outcomes(3)[2] == "fired"
    assert line.history(22) == [False, True, False]


def test_fires_again_after_the_broker_was_away(line: Line, broker: Broker, make_verdict: MakeVerdict) -> None:
    with line.actuator() as service:
        line.publish(make_verdict("before"))
        assert line.outcomes(1) == ["fired"]
        broker.stop()
        broker.start()
        assert service.wait_connected(timeout=10)
        with Probe(broker, "viewer") as viewer, Probe(broker, "inference") as inference:
            viewer.subscribe("pcb/actuation")
            wait_for_answer(broker)
            inference.publish("pcb/verdict", encode_json(make_verdict("after")))
            after = viewer.wait_for("pcb/actuation", lambda each: b'"after"' in each.payload)
    assert decode_json(Actuation, after.payload).outcome == "fired"


def wait_for_answer(broker: Broker) -> None:
    """Its subscriptions are restored once it hears commands again."""
    with Probe(broker, "operator") as operator:
        operator.subscribe("pcb/reply/operator/#")
        for _ in range(50):
            try:
                ask(operator, "ping", timeout=0.2)
                return
            except TimeoutError:
                continue
    raise TimeoutError("the actuator does not come back")


def ask(operator: Probe, command: str, timeout: float = 5.0) -> dict[str, Any]:
    correlation = uuid.uuid4().bytes

    def is_answer(received: Received) -> bool:
        return getattr(received.properties, "CorrelationData", None) == correlation

    payload = json.dumps({"v": 1, "command": command, "params": {}})
    operator.publish(
        "pcb/command/actuator", payload, ResponseTopic="pcb/reply/operator/test", CorrelationData=correlation
    )
    answer: dict[str, Any] = json.loads(operator.wait_for("pcb/reply/operator/test", is_answer, timeout).payload)
    return answer


def test_a_command_that_is_not_on_disk_is_not_called_done(line: Line, mqtt_probe: OpenProbe) -> None:
    operator = mqtt_probe("operator")
    operator.subscribe("pcb/reply/operator/#")
    busy = threading.Event()
    with line.actuator() as service:
        service._worker.do(partial(_wait_for, busy))
        assert "may not outlive a restart" in ask(operator, "disarm")["error"]
        busy.set()
        assert ask(operator, "disarm")["result"] == {"armed": False}


def _wait_for(event: threading.Event) -> None:
    event.wait(10)


def test_a_report_goes_out_again_until_the_recorder_names_it_also_after_a_restart(
    line: Line, mqtt_probe: OpenProbe, make_verdict: MakeVerdict
) -> None:
    line.pace = QUICK
    recorder = mqtt_probe("recorder")
    recorder.subscribe("pcb/resend/actuation")
    with line.actuator():
        line.publish(make_verdict("a", "unjudged"))
        assert line.outcomes(1) == ["unjudged"]
        again = recorder.wait_for_count("pcb/resend/actuation", 2)
        assert {each.payload for each in again} == {line.viewer.received("pcb/actuation")[0].payload}
    count = len(recorder.received("pcb/resend/actuation"))
    with line.actuator():
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


def test_fresh_reports_overtake_a_backlog_and_a_full_ledger_is_told_of(
    line: Line, mqtt_probe: OpenProbe, make_verdict: MakeVerdict, tmp_path: Path
) -> None:
    line.settings = line.settings.model_copy(
        update={"actuator": line.settings.actuator.model_copy(update={"memory_rows": 1000})}
    )
    ledger = Ledger(tmp_path / "ledger.db")
    names = [f"old-{number}" for number in range(1000)]
    ledger.settle([not_fired(Subject(name, "board", "scrap"), "late") for name in names], now=1)
    ledger.close()
    recorder = mqtt_probe("recorder")
    recorder.subscribe("pcb/resend/actuation")
    line.pace = Pace(after_ns=60 * NS_PER_S, gap_ns=10 * NS_PER_MS, batch=10)
    with line.actuator():
        line.viewer.wait_for("pcb/event/actuator", lambda each: b"the outbox is nearly full" in each.payload)
        recorder.wait_for("pcb/resend/actuation")  # one asks whether there is a recorder
        recorder.publish("pcb/recorded", encode_json(Recorded()))
        recorder.wait_for_count("pcb/resend/actuation", 30)
        line.publish(make_verdict("fresh"))
        assert line.outcomes(1) == ["fired"]
        assert len(recorder.received("pcb/resend/actuation")) < 1000
        line.publish(make_verdict("too many", "unjudged"))
        assert line.outcomes(2) == ["fired", "unjudged"]
        line.viewer.wait_for("pcb/event/actuator", lambda each: b'"critical"' in each.payload)
        line.viewer.wait_for("pcb/status/actuator", lambda each: b"the outbox takes no more" in each.payload)
        sent = recorder.wait_for_count("pcb/resend/actuation", 1001, lambda each: b"old-" in each.payload)
    assert [decode_json(Actuation, each.payload).verdict_id for each in sent] == [names[0], *names]


def test_a_broker_that_loses_all_sessions_and_messages_loses_no_report(
    line: Line, broker: Broker, make_verdict: MakeVerdict, tmp_path: Path
) -> None:
    line.pace = QUICK
    names = [f"v{number:02}" for number in range(20)]
    with recording(broker, tmp_path):
        pass
    # The recorder is away; reports wait in its session at the broker.
    with line.actuator() as service:
        for name in names:
            line.publish(make_verdict(name, "unjudged"))
        line.reports(len(names))
        lose_everything(broker)
        with recording(broker, tmp_path):
            until(lambda: len(service._book) == 0, timeout=20)
    assert recorded(tmp_path, RecordedActuation.verdict_id) == names


def test_disarmed_gates_stay_off_even_after_a_restart(
    line: Line, mqtt_probe: OpenProbe, make_verdict: MakeVerdict
) -> None:
    operator = mqtt_probe("operator")
    operator.subscribe("pcb/reply/operator/#")
    with line.actuator():
        assert ask(operator, "disarm")["result"] == {"armed": False}
        line.viewer.wait_for("pcb/status/actuator", lambda each: b'"degraded"' in each.payload)
        line.publish(make_verdict("first"))
        assert line.outcomes(1) == ["disarmed"]
    with line.actuator():
        line.publish(make_verdict("second"))
        assert line.outcomes(2)[1] == "disarmed"
        assert ask(operator, "arm")["result"] == {"armed": True}
        line.publish(make_verdict("third"))
        assert line.outcomes(3)[2] == "fired"
    assert line.history(22) == [False, True, False]


def test_stop_lets_a_running_pulse_end(line: Line, make_verdict: MakeVerdict) -> None:
    with line.actuator():
        line.publish(make_verdict())
        assert line.outcomes(1) == ["fired"]
    assert line.history(22) == [False, True, False]
    assert line.pins.pin(22).states[2].timestamp >= 0.4999


def test_stops_within_5_s_when_there_is_no_broker(
    free_port: int, pins: MockFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ActuatorLineSettings.model_validate(
        {"taxonomy": TAXONOMY, "broker": {"port": free_port}, "actuator": {"ledger": tmp_path / "ledger.db"}}
    )
    service = ActuatorService(settings, GateBank(PINS, pins, active_low=False))
    service.start()
    before = time.monotonic()
    service.stop()
    assert time.monotonic() - before < 5
