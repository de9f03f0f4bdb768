"""A whole actuator on mock pins at a real broker, with those who speak to it, and a disk that hangs when asked to."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from gpiozero.pins.mock import MockFactory

from actuator.gates import Gate, open_gates
from actuator.safety import Interlock
from actuator.service import ActuatorService, rules_of
from actuator.settings import ActuatorLineSettings
from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, NodeState, NodeStatus, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns
from pcb_bus.durable.resending import Pace
from pcb_bus.runtime.clock import LineClock
from support.peer import until
from support.probe import Probe, Received

CONTACT = 5
SHORT_PULSES: dict[str, dict[str, Any]] = {
    "scrap": {"pin": 22, "duration_ms": 100},
    "solder": {"pin": 27, "duration_ms": 100, "gate_delay_ms": 30_000},
}


class GateLine:
    """A broker, foreign clients beside it, and an actuator that may be started more than once.

    `actuator` is its section of the settings, `gates` its part of the taxonomy; with `watched` gates it drives those,
    no mock pins. `contact_closed` is how its interlock is at the start; None: it has none.
    """

    def __init__(
        self,
        broker: Broker,
        pins: MockFactory,
        folder: Path,
        open_probe: Callable[..., Probe],
        write_taxonomy: Callable[[dict[str, Any]], Path],
    ) -> None:
        self.broker, self.pins = broker, pins
        self.gates = SHORT_PULSES
        self.actuator: dict[str, Any] = {"ledger": folder / "ledger.db", "outbox": folder / "outbox.db"}
        self.contact_closed: bool | None = None
        self.watched: Mapping[int, Gate] | None = None
        self.pace = Pace()
        self._write_taxonomy = write_taxonomy
        self._open_probe = open_probe
        self.hear()

    def hear(self) -> None:
        """Those beside it connect; again after the broker was away."""
        self.viewer = self._open_probe("viewer")
        self.viewer.subscribe("pcb/actuation", "pcb/status/actuator", "pcb/event/actuator")
        self.inference, self.eye, self.recorder = map(self._open_probe, ("inference", "trigger", "recorder"))
        self.operator = self._open_probe("operator")
        self.operator.subscribe("pcb/reply/operator/#")

    @contextmanager
    def running(self, *, connected: bool = True, clock: LineClock | None = None) -> Iterator[ActuatorService]:
        settings = ActuatorLineSettings.model_validate(
            {
                "taxonomy": self._write_taxonomy(self.gates),
                "broker": {"port": self.broker.port, "credentials": self.broker.credentials_folder},
                "actuator": self.actuator,
            }
        )
        interlock = None
        if self.contact_closed is not None:
            self.set_contact(closed=self.contact_closed)
            # Without a pull: the mock pin shows the other level at first with one.
            interlock = Interlock(CONTACT, "none", "low", 30 * NS_PER_MS, self.pins)
        pins = [plan.pin for plan in rules_of(settings).gates.values()]
        gates = self.watched or open_gates(pins, self.pins, active_low=False)
        service = ActuatorService(settings, gates, self.pace, interlock, clock)
        service.start()
        try:
            assert not connected or service.wait_connected(timeout=10)
            yield service
        finally:
            service.stop()

    def set_contact(self, *, closed: bool) -> None:
        pin = self.pins.pin(CONTACT)
        (pin.drive_low if closed else pin.drive_high)()

    # What it hears

    def publish(self, verdict: Verdict | bytes, *, retain: bool = False) -> None:
        payload = verdict if isinstance(verdict, bytes) else encode_json(verdict)
        assert self.inference.publish("pcb/verdict", payload, retain=retain) < 0x80

    def trigger(self, board: str, *, off_ms: int = 0, age_ms: float = 0) -> Trigger:
        """A photo-eye, whose clock is `off_ms` ahead, sees a board."""
        at = (now_ns() // NS_PER_MS + off_ms) * NS_PER_MS - round(age_ms * NS_PER_MS)
        trigger = Trigger(board_id=board, triggered_at=at, source="eye", age_ms=age_ms)
        self.say(trigger)
        return trigger

    def say(self, trigger: Trigger) -> None:
        assert self.eye.publish("pcb/trigger", encode_json(trigger)) < 0x80

    def say_inference(self, state: NodeState) -> None:
        now = now_ns()
        status = NodeStatus(
            state=state, service="inference", node="inference", version="1", host="h", started_at=now, updated_at=now
        )
        assert self.inference.publish("pcb/status/inference", encode_json(status), retain=True) < 0x80

    def send(self, command: str, *, retain: bool = False, expires_at: str | None = None, **properties: Any) -> bytes:
        """Ask, and wait for no answer; returns the correlation data."""
        correlation = uuid.uuid4().bytes
        params = properties.pop("params", {})
        self.operator.publish(
            "pcb/command/actuator",
            json.dumps({"v": 1, "command": command, "params": params, "expires_at": expires_at}),
            retain=retain,
            ResponseTopic="pcb/reply/operator/test",
            CorrelationData=correlation,
            **properties,
        )
        return correlation

    def answer(self, correlation: bytes) -> dict[str, Any]:
        def is_answer(received: Received) -> bool:
            return getattr(received.properties, "CorrelationData", None) == correlation

        answer: dict[str, Any] = json.loads(self.operator.wait_for("pcb/reply/operator/test", is_answer).payload)
        return answer

    def ask(self, command: str, **params: Any) -> dict[str, Any]:
        return self.answer(self.send(command, params=params))

    # What it says and does

    def reports(self, count: int) -> list[Actuation]:
        return [decode_json(Actuation, each.payload) for each in self.viewer.wait_for_count("pcb/actuation", count)]

    def outcomes(self, count: int) -> list[tuple[str, str]]:
        return [(each.verdict_id, each.outcome) for each in self.reports(count)]

    def wait_event(self, text: str) -> Received:
        return self.viewer.wait_for("pcb/event/actuator", lambda each: text.encode() in each.payload)

    def wait_state(self, *texts: str) -> None:
        """Until the latest status says all of this."""

        def latest_says() -> bool:
            latest = self.viewer.received("pcb/status/actuator")[-1:]
            return bool(latest) and all(text.encode() in latest[0].payload for text in texts)

        until(latest_says)

    def history(self, pin: int) -> list[bool]:
        return [state.state for state in self.pins.pin(pin).states]

    def rises(self, pin: int) -> list[float]:
        """When the pin went high: seconds since its first state."""
        states = self.pins.pin(pin).states
        moments = accumulate(state.timestamp for state in states)
        return [at for at, state in zip(moments, states, strict=True) if state.state]

    def is_high(self, pin: int) -> bool:
        return bool(self.pins.pin(pin).state)

    @property
    def ever_high(self) -> list[int]:
        """The pins that were high at any time."""
        return [pin for pin in (17, 22, 23, 27) if any(self.history(pin))]


class HungDisk:
    """Takes the place of a connection to SQLite: whoever comes waits until it goes on."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.waits = threading.Event()
        self.goes_on = threading.Event()

    def execute(self, *arguments: Any) -> Any:
        self.waits.set()
        self.goes_on.wait(60)
        return self._connection.execute(*arguments)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def hung_disk(service: ActuatorService) -> Iterator[None]:
    """Within the block the thread that decides hangs in its ledger."""
    ledger: Any = service._ledger
    whole, ledger._db = ledger._db, HungDisk(ledger._db)
    hung = ledger._db
    try:
        assert hung.waits.wait(10), "the worker looks after its ledger every second"
        yield
    finally:
        ledger._db = whole
        hung.goes_on.set()
