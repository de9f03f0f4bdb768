"""A gate station without threads: the real keeper, ledger, auditor and driver, on a clock that the test turns."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from actuator.accounts import Account, Accounts, Named
from actuator.auditor import Auditor
from actuator.book import Book
from actuator.clock import Clock
from actuator.decision import GatePlan, Rules
from actuator.driver import PulseDriver, PulseResult
from actuator.gates import Gate, GateFault
from actuator.keeper import Keeper
from actuator.ledger import Ledger
from actuator.reading import Broken
from actuator.reporter import OnAnswer, Reporter
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Actuation, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.durable.resends import Resends
from pcb_bus.mqtt.session import Delivery

START = 1_800_000_000 * NS_PER_S
_MS = NS_PER_MS
_GATES = {
    "scrap": GatePlan(22, 500 * _MS),
    "solder": GatePlan(27, 500 * _MS, NS_PER_S, "diverter"),
    "component": GatePlan(17, 300 * _MS, None, "diverter"),
}
RULES = Rules(_GATES, max_future_ns=60 * NS_PER_S, clock_tolerance_ns=500 * _MS, max_lag_ns=20 * _MS, max_waiting=4)


@dataclass
class WatchedGate(Gate):
    """Obeys, unless it is `broken`; at each switch-on it looks at those that must not be on with it."""

    others: Callable[[], bool]
    is_on: bool = False
    broken: bool = False
    broke_rule: bool = False

    def on(self) -> None:
        if self.broken:
            raise GateFault("no such pin")
        self.broke_rule |= self.others()
        self.is_on = True

    def off(self) -> None:
        if self.broken:
            raise GateFault("no such pin")
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


@dataclass
class Station:
    """Time passes, pulses begin and answers come when the test says so."""

    path: Path
    rules: Rules = RULES
    now: int = START
    monotonic: int = 0
    room: int | None = None
    begun: list[Begun] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    resent: list[bytes] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    refused_as_full: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    limits: dict[str, int] = field(default_factory=dict)
    _answers: list[OnAnswer] = field(default_factory=list)
    _unacknowledged: dict[int, tuple[bytes, bool]] = field(default_factory=dict)
    _results: list[PulseResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gates = {plan.pin: WatchedGate(self._others(plan)) for plan in self.rules.gates.values()}
        self._assemble()

    def _others(self, plan: GatePlan) -> Callable[[], bool]:
        pins = {other.pin for other in self.rules.gates.values() if plan.group and other.group == plan.group}
        return lambda: any(self.gates[pin].is_on for pin in pins - {plan.pin})

    def _assemble(self) -> None:
        clock = Clock(lambda: self.now, lambda: self.monotonic)
        self.ledger = Ledger(self.path, durable=False)
        self.book = Book(self.ledger)
        gates: Mapping[int, Gate] = dict(self.gates)
        self.driver = PulseDriver(
            gates, self._on_result, groups=self.rules.groups, armed=self.book.armed(), clock=clock
        )
        self.reporter = Reporter(self.book, self._publish, lambda task: task())
        self.keeper = Keeper(
            self.rules, self.book, self.driver, self.reporter, self.broken.append, self._on_full, clock
        )
        self.auditor = Auditor(self.book, self.reporter, clock)
        self.accounts = Accounts(self.book, self.reporter, self.auditor, self._publish_again, clock)
        self.resends = Resends(self.book, self._publish_again)

    @property
    def intents_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.intents")

    def _on_full(self) -> None:
        self.refused_as_full += 1

    def _on_result(self, result: PulseResult) -> None:
        if result.outcome == "fired":
            self.begun.append(Begun(result.verdict_id, self.now, self.monotonic, self.driver.ready))
        self._results.append(result)

    def _publish(self, payload: bytes, on_answer: OnAnswer) -> bool:
        if self.room is not None and len(self._answers) >= self.room:
            return False
        self.published.append(payload)
        self._answers.append(on_answer)
        return True

    def _publish_again(self, payload: bytes, on_answer: OnAnswer) -> bool:
        self.resent.append(payload)
        on_answer(True)
        return True

    def turn(self) -> None:
        """What the driver's thread does at this moment; nobody has heard of it yet."""
        with self.driver._changed:
            self.driver._step(self.monotonic)

    def step(self) -> None:
        """The same, and the worker hears of it."""
        self.turn()
        self.hear_results()

    def hear_results(self) -> None:
        results, self._results = self._results, []
        for result in results:
            self.keeper.pulsed(result)

    def pass_time(self, ms: int) -> None:
        self.now += ms * NS_PER_MS
        self.monotonic += ms * NS_PER_MS

    def answer(self, accepted: bool = True) -> None:
        answers, self._answers = self._answers, []
        for on_answer in answers:
            on_answer(accepted)

    def record(self) -> None:
        """The recorder names all that was published."""
        self.reporter.named([report.verdict_id for report in self.reports])
        self.reporter.flush()
        self.resends.heard(self.monotonic)

    def resend(self) -> None:
        """Let enough time pass for what waits to go out again."""
        for _ in range(50):
            self.pass_time(100)
            self.resends.tick(self.monotonic)

    def remember_armed(self) -> None:
        self.book.remember_armed(self.driver.armed)

    def account(self, verdict: Verdict) -> int:
        """The recorder names a verdict of which it has no report."""
        named = Named(verdict_id=verdict.verdict_id, board_id=verdict.board_id, category=verdict.category)
        return self.accounts.settle(Account(verdicts=(named,)))

    def crash(self) -> None:
        """As kill -9 would: nothing is finished, and what was not acknowledged comes again."""
        self.ledger.close()
        self._answers.clear()
        self._results.clear()
        for gate in self.gates.values():
            gate.is_on = False
        self._assemble()
        for intent in self.book.recover():
            self.reporter.publish(intent.report)
        waiting, self._unacknowledged = list(self._unacknowledged.values()), {}
        for payload, retain in waiting:
            self.audit(payload, retain=retain)

    def gate(self, payload: bytes, *, retain: bool = False) -> None:
        self.keeper.judge(self._delivery(payload, "gate", retain, lambda: None))

    def judge(self, verdict: Verdict, payload: bytes, *, retain: bool = False) -> None:
        """As `gate`, and note until when it may begin: whatever the clock shows later, so much time may pass."""
        gate = self.rules.gates.get(verdict.category)
        expires = verdict.deadline_at
        if gate is not None and gate.delay_ns is not None:
            expires = verdict.captured_at + gate.delay_ns + self.rules.max_lag_ns
        self.limits.setdefault(verdict.verdict_id, self.monotonic + expires - self.now)
        self.gate(payload, retain=retain)

    def audit(self, payload: bytes, *, retain: bool = False) -> None:
        number = self.acknowledged.total() + len(self._unacknowledged)
        self._unacknowledged[number] = payload, retain
        self.auditor.hear(self._delivery(payload, "audit", retain, lambda: self._unacknowledged.pop(number)))

    def _delivery(self, payload: bytes, session: str, retain: bool, forget: Callable[[], object]) -> Delivery:
        def ack() -> None:
            self.acknowledged[session] += 1
            forget()

        return Delivery("pcb/verdict", payload, retain, self.now, None, None, ack)

    @property
    def reports(self) -> list[Actuation]:
        return [decode_json(Actuation, payload) for payload in self.published]

    @property
    def outcomes(self) -> list[str]:
        return [report.outcome for report in self.reports]
