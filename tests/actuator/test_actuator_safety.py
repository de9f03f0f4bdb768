"""Interlock, safe state, test pulse, account and a failing disk, in the whole actuator at a real broker."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gpiozero.pins.mock import MockFactory
from support.peer import until
from support.probe import Probe, Received

from actuator.gates import GateBank
from actuator.interlock import Interlock, InterlockInput
from actuator.service import ActuatorService
from actuator.settings import ActuatorLineSettings
from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, NodeState, NodeStatus, Verdict
from pcb_bus.contract.times import now_ns

MakeVerdict = Callable[..., Verdict]
OpenProbe = Callable[..., Probe]
TAXONOMY = Path(__file__).parents[2] / "config" / "pcb_defects.yaml"
CONTACT = 5
GATES = {
    "scrap": {"pin": 22, "duration_ms": 100},
    "solder": {"pin": 27, "duration_ms": 100, "gate_delay_ms": 30_000},
}


class Line:
    """A broker, those who speak on it, and an actuator that may be started more than once."""

    def __init__(self, broker: Broker, pins: MockFactory, folder: Path, open_probe: OpenProbe) -> None:
        self.broker, self.pins, self.folder = broker, pins, folder
        self.actuator: dict[str, Any] = {"ledger": folder / "ledger.db", "gates": GATES}
        self.contact: InterlockInput | None = None
        self.viewer = open_probe("viewer")
        self.viewer.subscribe("pcb/actuation", "pcb/status/actuator", "pcb/event/actuator")
        self.inference = open_probe("inference")
        self.operator = open_probe("operator")
        self.operator.subscribe("pcb/reply/operator/#")

    @contextmanager
    def running(self) -> Iterator[ActuatorService]:
        settings = ActuatorLineSettings.model_validate(
            {
                "taxonomy": TAXONOMY,
                "broker": {"port": self.broker.port, "credentials": self.broker.credentials_folder},
                "actuator": self.actuator,
            }
        )
        interlock = None if self.contact is None else Interlock(self.contact, debounce_ms=30)
        service = ActuatorService(settings, GateBank((22, 27), self.pins, active_low=False), interlock=interlock)
        service.start()
        try:
            assert service.wait_connected(timeout=10)
            yield service
        finally:
            service.stop()

    def wire_contact(self, *, closed: bool) -> None:
        self.contact = InterlockInput(CONTACT, "up", "low", self.pins)
        self.set_contact(closed=closed)

    def set_contact(self, *, closed: bool) -> None:
        pin = self.pins.pin(CONTACT)
        (pin.drive_low if closed else pin.drive_high)()

    def publish(self, verdict: Verdict) -> None:
        assert self.inference.publish("pcb/verdict", encode_json(verdict)) < 0x80

    def say_inference(self, state: NodeState) -> None:
        now = now_ns()
        status = NodeStatus(
            state=state, service="inference", node="inference", version="1", host="h", started_at=now, updated_at=now
        )
        assert self.inference.publish("pcb/status/inference", encode_json(status), retain=True) < 0x80

    def reports(self, count: int) -> list[tuple[str, str]]:
        received = self.viewer.wait_for_count("pcb/actuation", count)
        found = [decode_json(Actuation, each.payload) for each in received]
        return [(each.verdict_id, each.outcome) for each in found]

    def wait_event(self, text: str) -> None:
        self.viewer.wait_for("pcb/event/actuator", lambda each: text.encode() in each.payload)

    def wait_state(self, *texts: str) -> None:
        def latest_says() -> bool:
            latest = self.viewer.received("pcb/status/actuator")[-1:]
            return bool(latest) and all(text.encode() in latest[0].payload for text in texts)

        until(latest_says)

    def ask(self, command: str, **params: Any) -> dict[str, Any]:
        correlation = uuid.uuid4().bytes

        def is_answer(received: Received) -> bool:
            return getattr(received.properties, "CorrelationData", None) == correlation

        self.operator.publish(
            "pcb/command/actuator",
            json.dumps({"v": 1, "command": command, "params": params}),
            ResponseTopic="pcb/reply/operator/test",
            CorrelationData=correlation,
        )
        answer: dict[str, Any] = json.loads(self.operator.wait_for("pcb/reply/operator/test", is_answer).payload)
        return answer

    def history(self, pin: int) -> list[bool]:
        return [state.state for state in self.pins.pin(pin).states]

    def is_high(self, pin: int) -> bool:
        return bool(self.pins.pin(pin).state)


@pytest.fixture
def line(broker: Broker, pins: MockFactory, tmp_path: Path, mqtt_probe: OpenProbe) -> Line:
    return Line(broker, pins, tmp_path, mqtt_probe)


def test_interlock_that_opens_switches_off_and_a_person_has_to_arm_again(line: Line, make_verdict: MakeVerdict) -> None:
    line.wire_contact(closed=True)
    line.actuator["gates"] = {**GATES, "scrap": {"pin": 22, "duration_ms": 30_000}}
    with line.running():
        line.publish(make_verdict("waits", "solder", good_for_ms=30_000))
        line.publish(make_verdict("runs"))
        assert line.reports(1) == [("runs", "fired")]
        line.set_contact(closed=False)
        assert not line.is_high(22)
        assert line.reports(2)[1] == ("waits", "disarmed")
        line.wait_state("degraded", "the interlock is open", "disarmed")
        assert "the interlock is open" in line.ask("arm")["error"]
        assert "the interlock is open" in line.ask("test_pulse", category="scrap")["error"]
        line.set_contact(closed=True)
        line.wait_event("the interlock is closed")
        line.publish(make_verdict("not armed"))
        assert line.reports(3)[2] == ("not armed", "disarmed")
    line.wire_contact(closed=True)
    with line.running():
        line.publish(make_verdict("after a restart"))
        assert line.reports(4)[3] == ("after a restart", "disarmed")
        assert line.ask("arm")["result"] == {"armed": True}
        line.publish(make_verdict("armed"))
        assert line.reports(5)[4] == ("armed", "fired")


def test_start_with_an_open_interlock_is_disarmed(line: Line, make_verdict: MakeVerdict) -> None:
    line.wire_contact(closed=False)
    with line.running():
        line.wait_state("degraded", "the interlock is open", "disarmed")
        line.publish(make_verdict())
        assert line.reports(1) == [("v1", "disarmed")]


def test_test_pulse_only_while_disarmed_and_one_at_a_time(line: Line, make_verdict: MakeVerdict) -> None:
    with line.running():
        assert "armed" in line.ask("test_pulse", category="scrap")["error"]
        line.ask("disarm")
        assert line.ask("test_pulse", category="scrap", duration_ms=40)["result"] == {"pin": 22, "duration_ms": 40}
        until(lambda: line.history(22) == [False, True, False])
        assert 0.0399 <= line.pins.pin(22).states[2].timestamp < 0.3
        assert "no gate" in line.ask("test_pulse", category="golden")["error"]
        assert "duration_ms" in line.ask("test_pulse", category="scrap", duration_ms=0)["error"]
        line.publish(make_verdict())
        assert line.reports(1) == [("v1", "disarmed")]
    line.wait_event('"test pulse"')


def test_arming_ends_a_test_pulse(line: Line) -> None:
    line.actuator["gates"] = {"scrap": {"pin": 22, "duration_ms": 30_000}}
    with line.running():
        line.ask("disarm")
        assert line.ask("test_pulse", category="scrap")["error"] is None
        assert "another test" in line.ask("test_pulse", category="scrap")["error"]
        assert line.is_high(22)
        assert line.ask("arm")["result"] == {"armed": True}
        assert not line.is_high(22)


@pytest.mark.parametrize("mode", ["stop", "finish"])
def test_inference_that_is_away(mode: str, line: Line, make_verdict: MakeVerdict) -> None:
    line.actuator["safe_state"] = {"mode": mode, "after_ms": 50}
    line.say_inference("online")
    with line.running():
        line.publish(make_verdict("waits", "solder", good_for_ms=30_000))
        line.say_inference("offline")
        line.wait_event("inference is away")
        line.wait_state("degraded", "inference is away")
        line.publish(make_verdict("meanwhile"))
        if mode == "stop":
            assert sorted(line.reports(2)) == [("meanwhile", "disarmed"), ("waits", "disarmed")]
        else:
            assert line.reports(1) == [("meanwhile", "fired")]
        line.say_inference("online")
        line.wait_event("the line is back")
        line.wait_state("online")
        count = len(line.viewer.received("pcb/actuation"))
        line.publish(make_verdict("after"))
        assert line.reports(count + 1)[count] == ("after", "fired")


def test_divert_holds_its_gate_while_inference_is_away_and_obeys_disarm(line: Line) -> None:
    line.actuator["safe_state"] = {"mode": "divert", "category": "scrap", "after_ms": 50}
    line.say_inference("offline")
    with line.running():
        until(lambda: line.is_high(22))
        line.ask("disarm")
        assert not line.is_high(22)
        line.ask("arm")
        until(lambda: line.is_high(22))
        line.say_inference("online")
        until(lambda: not line.is_high(22))
    assert line.history(22) == [False, True, False, True, False]


def test_lost_broker_moves_to_the_safe_state_and_back(line: Line, make_verdict: MakeVerdict) -> None:
    line.actuator["safe_state"] = {"mode": "divert", "category": "scrap", "after_ms": 50}
    with line.running() as service:
        line.broker.stop()
        until(lambda: line.is_high(22))
        line.broker.start()
        assert service.wait_connected(timeout=10)
        until(lambda: not line.is_high(22))


def named(verdict_id: str, category: str = "scrap") -> Mapping[str, str]:
    return {"verdict_id": verdict_id, "board_id": f"board-{verdict_id}", "category": category}


def test_account_reports_what_the_gates_never_heard_of_once(
    line: Line, make_verdict: MakeVerdict, mqtt_probe: OpenProbe
) -> None:
    recorder = mqtt_probe("recorder")
    recorder.subscribe("pcb/resend/actuation")
    with line.running():
        line.publish(make_verdict("known"))
        assert line.reports(1) == [("known", "fired")]
        verdicts = [named("known"), named("lost"), named("lost"), named("unseen", "unjudged")]
        assert line.ask("account", verdicts=verdicts)["result"] == {"reported": 3}
        assert sorted(line.reports(3)[1:]) == [("lost", "late"), ("unseen", "unjudged")]
        recorder.wait_for("pcb/resend/actuation", lambda each: b'"known"' in each.payload)
        assert "verdicts" in line.ask("account", verdicts=[named("x")] * 1001)["error"]
        assert "verdict_id" in line.ask("account", verdicts=[{"verdict_id": 7}])["error"]
        line.publish(make_verdict("lost"))
        assert line.reports(4)[3] == ("lost", "duplicate")
    assert line.history(22) == [False, True, False]


def test_disk_that_takes_nothing_fires_nothing_and_recovers_by_itself(line: Line, make_verdict: MakeVerdict) -> None:
    with line.running() as service:
        database = service._book._ledger._db
        service._worker.call(lambda: database.execute("PRAGMA query_only = ON"), 5)
        line.publish(make_verdict("only begun"))
        assert line.reports(1) == [("only begun", "fired")]
        line.wait_event('"critical"')
        line.publish(make_verdict("unwritten"))
        assert line.reports(2)[1] == ("unwritten", "rejected")
        line.wait_state("degraded", "the ledger fails")
        assert "may not outlive a restart" in line.ask("disarm")["error"]
        assert "may not outlive a restart" in line.ask("arm")["error"]
        service._worker.call(lambda: database.execute("PRAGMA query_only = OFF"), 5)
        line.wait_event("the ledger works again")
        line.wait_state("online")
        line.publish(make_verdict("written"))
        assert line.reports(3)[2] == ("written", "fired")
        assert len(service._book) == 3
    assert line.history(22) == [False, True, False, True, False]


def test_gate_that_does_not_switch_is_told_of_and_the_others_work(line: Line, make_verdict: MakeVerdict) -> None:
    line.actuator["gates"] = {**GATES, "component": {"pin": 27, "duration_ms": 20}}
    with line.running():
        line.pins.pin(22).function = "input"
        line.publish(make_verdict("broken"))
        assert line.reports(1) == [("broken", "rejected")]
        line.wait_event("a gate does not switch")
        line.wait_state("degraded", "pin 22 does not switch")
        line.publish(make_verdict("sound", "component"))
        assert line.reports(2)[1] == ("sound", "fired")
        line.pins.pin(22).function = "output"
        line.publish(make_verdict("mended"))
        assert line.reports(3)[2] == ("mended", "fired")
        line.wait_state("online")


def test_more_pulses_than_may_wait_are_rejected(line: Line, make_verdict: MakeVerdict) -> None:
    line.actuator["max_waiting"] = 2
    with line.running():
        for name in ("a", "b", "c"):
            line.publish(make_verdict(name, "solder", good_for_ms=30_000))
        assert line.reports(1) == [("c", "rejected")]
        line.wait_event("too many pulses wait")
    assert sorted(line.reports(3)[1:]) == [("a", "disarmed"), ("b", "disarmed")]
