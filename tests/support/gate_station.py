"""A gate station without threads: real verdicts, ledger, outbox, pulses and commands, on clocks that the test turns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from actuator.commands import Commands
from actuator.decide import GatePlan, Rules
from actuator.gates import Gate
from actuator.ledger import Ledger
from actuator.pulses import Clock, PulseResult, Pulses
from actuator.triggers import BoardMoments
from actuator.verdicts import Verdicts
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, Command, Event, Level, Trigger, UnreportedVerdict, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.durable.outbox import Bounds, Kept, Outbox
from pcb_bus.durable.resending import Resends
from pcb_bus.errors import CommandFailed, MessageRejected
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.pins import PinFault
from pcb_bus.runtime.service import Request, Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings

START = 1_800_000_000 * NS_PER_S
_MS = NS_PER_MS
_GATES = {
    "scrap": GatePlan(22, 500 * _MS),
    "solder": GatePlan(27, 500 * _MS, NS_PER_S, "diverter"),
    "component": GatePlan(17, 300 * _MS, None, "diverter"),
}
RULES = Rules(_GATES, max_future_ns=60 * NS_PER_S, clock_tolerance_ns=500 * _MS, max_lag_ns=20 * _MS, max_waiting=4)
PATIENT = 2**62  # whoever asks never gives up
_VERDICTS = "verdicts"


@dataclass
class WatchedGate(Gate):
    """Obeys, unless it is `broken`; at each switch-on it looks at those that must not be on with it."""

    others: Callable[[], bool] = lambda: False
    is_on: bool = False
    broken: bool = False
    broke_rule: bool = False

    def on(self) -> None:
        if self.broken:
            raise PinFault("no such pin")
        self.broke_rule |= self.others()
        self.is_on = True

    def off(self) -> None:
        if self.broken:
            raise PinFault("no such pin")
        self.is_on = False

    def close(self) -> None:
        self.off()


@dataclass
class Begun:
    """A pulse that began, and on which terms."""

    verdict_id: str
    wall: int
    monotonic: int
    ready: bool


@cache
def _service() -> Service:
    """A service that is never started: it lends its threads' queues, and answers no one."""
    return Service("actuator", "actuator", LineSettings(broker=BrokerSettings(credentials=Path("nowhere"))))


@dataclass
class Station:
    """Time passes, pulses begin and the worker has its turn when the test says so. Its files are in `folder`."""

    folder: Path
    rules: Rules = RULES
    now: int = START
    monotonic: int = 0
    outbox_rows: int = 100_000
    begun: list[Begun] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    resent: list[bytes] = field(default_factory=list)
    rejected: list[MessageRejected] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gates = {plan.pin: WatchedGate(self._others(plan)) for plan in self.rules.gates.values()}
        self._assemble()

    def _others(self, plan: GatePlan) -> Callable[[], bool]:
        pins = {other.pin for other in self.rules.gates.values() if plan.group and other.group == plan.group}
        return lambda: any(self.gates[pin].is_on for pin in pins - {plan.pin})

    def _assemble(self) -> None:
        clock = Clock(lambda: self.now, lambda: self.monotonic)
        self._worker = _service().worker(_VERDICTS)
        self._drop_queue()
        self.ledger = Ledger(self.folder / "ledger.db", durable=False)
        self.outbox = Outbox(self.folder / "outbox.db", Bounds(rows=self.outbox_rows))
        self.faults: list[tuple[int, str]] = []
        gates: Mapping[int, Gate] = dict(self.gates)
        self.pulses = Pulses(
            gates,
            self._on_result,
            lambda pin, fault: self.faults.append((pin, fault)),
            groups=self.rules.groups,
            armed=self.ledger.armed(),
            clock=clock,
        )
        self.moments = BoardMoments("pcb", self.rules.max_lag_ns)
        self.verdicts = Verdicts(self.rules, self.ledger, self.outbox, self.pulses, self.moments, self, clock)
        self.commands = Commands(_service(), self.pulses, self.ledger, self.rules.gates, _VERDICTS)
        self.resends = Resends(self.outbox, self._publish_again)
        self.look()

    def _on_result(self, result: PulseResult) -> None:
        if result.outcome == "fired":
            self.begun.append(Begun(result.pulse.verdict_id, self.now, self.monotonic, self.pulses.ready))
        self._worker.do(lambda: self.verdicts.pulsed(result))

    # What it says

    def publish(self, report: bytes) -> None:
        self.published.append(report)

    def reject(self, rejection: MessageRejected) -> None:
        self.rejected.append(rejection)

    def tell(self, level: Level, message: str, **details: Any) -> None:
        event = Event(level=level, source="actuator", message=message, details=details, at=now_ns())
        self.events.append(decode_json(Event, encode_json(event)))

    def _publish_again(self, kept: Kept, on_done: Callable[[bool], None]) -> bool:
        self.resent.append(kept.payload)
        on_done(True)
        return True

    @property
    def reports(self) -> list[Actuation]:
        return [decode_json(Actuation, payload) for payload in self.published]

    @property
    def outcomes(self) -> list[str]:
        return [report.outcome for report in self.reports]

    # What happens to it

    def pass_time(self, ms: int) -> None:
        self.now += ms * NS_PER_MS
        self.monotonic += ms * NS_PER_MS

    def turn(self) -> None:
        """What the pulses' thread does at this moment; nobody has heard of it yet."""
        with self.pulses._changed:
            self.pulses._step()

    def work(self) -> None:
        """The worker does all that waits for it."""
        while not self._worker._actions.empty():
            action = self._worker._actions.get()
            assert action is not None
            action()

    def step(self) -> None:
        self.turn()
        self.work()

    def look(self) -> None:
        self.verdicts.look()
        self.commands.keep_armed()

    def record(self) -> None:
        """The recorder names all that was published."""
        self.outbox.clear([report.verdict_id for report in self.reports])
        self.resends.heard(self.monotonic)

    def resend(self) -> None:
        """Let enough time pass for what waits to go out again."""
        for _ in range(50):
            self.pass_time(100)
            self.resends.tick(self.monotonic)

    def trigger(self, trigger: Trigger) -> bool:
        return self.moments.note(trigger, self.monotonic)

    def judge(self, verdict: Verdict | bytes, *, retain: bool = False) -> None:
        """Note until when a sound one may begin: whatever the clock shows later, so much time may pass."""
        if isinstance(verdict, Verdict):
            self._note_limit(verdict)
            verdict = encode_json(verdict)
        self.verdicts.judge(Delivery("pcb/verdict", verdict, retain, self.now, None, None, lambda: None))

    def _note_limit(self, verdict: Verdict) -> None:
        gate = self.rules.gates.get(verdict.category)
        limit = self.monotonic + verdict.deadline_at - self.now
        if gate is not None and gate.delay_ns is not None:
            triggered = self.moments.of(verdict.verdict_id)
            if triggered is None:
                return
            limit = triggered + gate.delay_ns + self.rules.max_lag_ns
            self.due[verdict.verdict_id] = triggered + gate.delay_ns
        self.limits.setdefault(verdict.verdict_id, limit)

    def unreported(self, verdict: Verdict) -> None:
        """The recorder has no report of this one."""
        self.verdicts.answer(
            UnreportedVerdict(verdict_id=verdict.verdict_id, board_id=verdict.board_id, category=verdict.category)
        )

    def ask(self, command: str, *, asked_at: int | None = None, patience: int = PATIENT, **params: Any) -> str:
        """What went wrong; empty: it is done."""
        received_at = self.monotonic if asked_at is None else asked_at
        request = Request(Command(command=command, params=params), received_at, patience)
        own = self.commands
        try:
            {"arm": own._arm, "disarm": own._disarm, "test_pulse": own._test_pulse}[command](request)
        except (CommandFailed, OSError, ValueError) as error:
            return str(error)
        finally:
            self.work()
        return ""

    def refuse_writes(self, *parts: str, refuse: bool = True) -> None:
        """SQLite itself refuses every write, as on a disk that turned read-only."""
        for part in parts:
            getattr(self, part)._db.execute(f"PRAGMA query_only = {'ON' if refuse else 'OFF'}")

    def crash(self) -> None:
        """As kill -9 would: nothing is finished; then it starts again."""
        self.close()
        for gate in self.gates.values():
            gate.is_on = False
        self._assemble()

    def close(self) -> None:
        self.ledger.close()
        self.outbox.close()

    def _drop_queue(self) -> None:
        while not self._worker._actions.empty():
            self._worker._actions.get()
