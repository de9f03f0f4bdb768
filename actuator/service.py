"""The actuator put together: two sessions, one worker, one thread for the pins."""

import atexit
import logging

from actuator import metrics
from actuator.accounts import Accounts
from actuator.auditor import Auditor
from actuator.book import Book
from actuator.clock import Clock
from actuator.commands import Commands
from actuator.driver import PulseDriver, PulseResult
from actuator.gates import GateBank, pin_factory
from actuator.guard import Guard
from actuator.health import Health
from actuator.interlock import Interlock, InterlockInput
from actuator.keeper import Keeper
from actuator.ledger import Ledger
from actuator.reading import Broken
from actuator.reporter import OnAnswer, Reporter
from actuator.settings import NODE, ActuatorLineSettings
from actuator.worker import Worker
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import NodeStatus, Recorded
from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.times import NS_PER_MS, now_ns
from pcb_bus.contract.topics import exactly
from pcb_bus.durable.fullness import Fullness
from pcb_bus.durable.resends import Pace, Resends
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession, SessionOptions, Subscription
from pcb_bus.runtime import metrics as bus_metrics
from pcb_bus.runtime.logs import Throttle
from pcb_bus.runtime.node import Identity, Node, with_credentials

log = logging.getLogger(__name__)

_MAX_BACKLOG = 2000
_AUDIT_AHEAD = 1000
_NAMED_IN_EVENT = 20
_INFERENCE = "inference"
_PACE = Pace(gap_ns=50 * NS_PER_MS, batch=10)  # a fresh verdict waits for no more than a batch


class ActuatorService:
    """The gate session acts: clean start, nothing retained, no memory at the broker. The audit session only reports.

    Every decision, ledger entry and report is made by one worker; the driver's thread alone times the pins.

    Raises:
        ConfigError: ledger, credentials or TLS files cannot be used, or the settings do not fit together.
    """

    def __init__(
        self, settings: ActuatorLineSettings, bank: GateBank, pace: Pace = _PACE, interlock: Interlock | None = None
    ) -> None:
        own, clock = settings.actuator, Clock()
        rules = own.rules(load_taxonomy(settings.taxonomy))
        self._clock = clock
        self._bank = bank
        self._interlock = interlock
        self._book = Book(Ledger(own.ledger, own.memory))
        self._node = Node(Identity("actuator", NODE), settings, SessionOptions(durable=False))
        self._audit = self._audit_session(settings)
        self._worker = Worker("verdicts", self._on_idle)
        self._driver = PulseDriver(
            bank.by_pin,
            self._on_pulse,
            lambda pin, fault: self._worker.do(lambda: self._tell_pin(pin, fault)),
            groups=rules.groups,
            armed=own.armed and self._book.armed(),
        )
        self._reporter = Reporter(self._book, self._publish, self._worker.do)
        self._keeper = Keeper(
            rules, self._book, self._driver, self._reporter, self._on_broken, self._on_too_many, clock
        )
        self._auditor = Auditor(self._book, self._reporter, clock)
        self._resends = Resends(self._book, self._publish_again, pace)
        self._guard = Guard(own.safe_state, rules.gates, self._driver.go_safe, self._tell_lost)
        accounts = Accounts(self._book, self._reporter, self._auditor, self._publish_again, clock)
        Commands(self._node, self._driver, self._worker, rules.gates, accounts, self._remember_armed).declare()
        self._health = Health(self._node.set_state)
        self._fullness = Fullness()
        self._complaints = Throttle(interval_s=30)
        self._listen()
        self._look_at_interlock()

    def start(self) -> None:
        atexit.register(self._bank.close)
        self._worker.start()
        self._driver.start()
        if self._interlock is not None:
            self._interlock.start(self._on_interlock)
        self._worker.do(self._recover)
        self._node.start()
        self._audit.start()

    def wait_connected(self, timeout: float) -> bool:
        """Whether both sessions are connected, within `timeout` seconds each."""
        return self._node.session.wait_connected(timeout) and self._audit.wait_connected(timeout)

    def stop(self) -> None:
        """Pulses that run may end; what waits is reported as disarmed; every pin is off afterwards."""
        try:
            self._driver.stop()
        finally:
            self._bank.close()
        if self._interlock is not None:
            self._interlock.stop()
        self._audit.stop(flush_s=0)
        self._worker.flush(timeout=1.0)
        self._node.stop()
        self._worker.stop()
        self._book.close()

    # Wiring

    def _audit_session(self, settings: ActuatorLineSettings) -> MqttSession:
        client_id = f"{settings.root}-{NODE}-audit".replace("/", "-")
        options = SessionOptions(durable=True, receive_maximum=_AUDIT_AHEAD)
        return MqttSession(client_id, with_credentials(settings.broker, NODE), options, settings.root)

    def _listen(self) -> None:
        session, topics = self._node.session, self._node.topics
        session.subscribe(Subscription(exactly(topics.verdict), self._on_verdict))
        session.subscribe(Subscription(exactly(topics.recorded), self._on_recorded))
        session.subscribe(Subscription(exactly(topics.status(_INFERENCE)), self._on_inference, retained=True))
        session.on_up(lambda: self._worker.do(self._resends.start_over))
        self._audit.subscribe(Subscription(exactly(topics.verdict), self._auditor.hear, manual_ack=True))

    def _look_at_interlock(self) -> None:
        is_open = self._interlock is not None and self._interlock.is_open
        if is_open:
            self._driver.set_interlock(is_open=True)
            self._book.remember_armed(False)
        self._health.note("interlock", "the interlock is open" if is_open else "")
        self._show_armed()

    def _on_verdict(self, delivery: Delivery) -> None:
        # What is dropped here comes through the audit session, and is reported late.
        if self._worker.backlog >= _MAX_BACKLOG:
            bus_metrics.DROPPED.labels("verdict", "backlog").inc()
        else:
            self._worker.do(lambda: self._keeper.judge(delivery))

    def _on_recorded(self, delivery: Delivery) -> None:
        self._worker.do(lambda: self._clear(delivery))

    def _on_inference(self, delivery: Delivery) -> None:
        self._worker.do(lambda: self._note_inference(delivery))

    def _on_pulse(self, result: PulseResult) -> None:
        self._worker.do(lambda: self._keeper.pulsed(result))

    def _on_interlock(self, is_open: bool) -> None:
        self._driver.set_interlock(is_open=is_open)
        self._worker.do(lambda: self._tell_interlock(is_open=is_open))

    def _publish(self, payload: bytes, on_answer: OnAnswer) -> bool:
        return self._node.session.publish(self._node.topics.actuation, payload, on_done=on_answer)

    def _publish_again(self, payload: bytes, on_answer: OnAnswer) -> bool:
        session = self._node.session
        return session.connected and session.publish(self._node.topics.resend_actuation, payload, on_done=on_answer)

    # On the worker's thread

    def _recover(self) -> None:
        silent = self._book.recover()
        for intent in silent:
            self._reporter.publish(intent.report)
        if silent:
            self._node.event(
                "error",
                "a crash came while these were firing; gates that may have stayed silent are reported late",
                count=len(silent),
                verdict_ids=[intent.verdict_id for intent in silent[:_NAMED_IN_EVENT]],
            )

    def _on_idle(self) -> float:
        now = self._clock.monotonic()
        self._recover()
        self._book.mend(now)
        self._reporter.flush()
        self._reporter.retry(now)
        self._resends.tick(now)
        self._book.prune(now_ns())
        self._watch_ledger()
        look_again = self._guard.tick(now, connected=self._node.session.connected)
        return min(look_again, self._auditor.settle(), self._resends.patience_s(self._clock.monotonic()))

    def _clear(self, delivery: Delivery) -> None:
        try:
            recorded = decode_json(Recorded, delivery.payload)
        except MessageRejected as rejection:
            self._node.reject("recorded", rejection)
            return
        self._reporter.named(recorded.actuations)
        self._resends.heard(self._clock.monotonic())

    def _note_inference(self, delivery: Delivery) -> None:
        try:
            status = decode_json(NodeStatus, delivery.payload)
        except MessageRejected as rejection:
            self._node.reject("status", rejection)
            return
        self._guard.watch.inference(here=status.state != "offline", now=self._clock.monotonic())

    def _remember_armed(self) -> bool:
        # What holds now: another thread may have disarmed since this was asked for.
        self._show_armed()
        return self._book.remember_armed(self._driver.armed)

    # What a person should know

    def _show_armed(self) -> None:
        armed = self._driver.armed
        metrics.ARMED.set(armed)
        self._health.note("armed", "" if armed else "disarmed")

    def _watch_ledger(self) -> None:
        bus_metrics.OUTBOX_WAITING.set(len(self._book))
        alert = self._fullness.see(self._book.fill, "full" if self._book.full else None)
        if alert is not None:
            self._node.event(alert.level, alert.message, waiting=len(self._book))
        self._health.note("outbox", self._fullness.detail)
        fault = self._book.fault
        if self._health.note("ledger", "" if fault is None else "the ledger fails: no gate fires"):
            if fault is None:
                self._node.event("info", "the ledger works again")
            else:
                self._node.event("critical", "the ledger fails: no gate fires", fault=fault)

    def _on_broken(self, broken: Broken) -> None:
        self._node.reject("verdict", broken.rejection)
        held = self._complaints.admit("unreadable", now_ns()) if broken.subject is None else None
        if held is not None:
            self._node.event("warning", "an unreadable verdict fired nothing", reason=str(broken.rejection), more=held)

    def _on_too_many(self) -> None:
        held = self._complaints.admit("too many", now_ns())
        if held is not None:
            self._node.event("error", "too many pulses wait: verdicts are rejected", more=held)

    def _tell_pin(self, pin: int, fault: str | None) -> None:
        self._health.note(f"pin {pin}", "" if fault is None else f"pin {pin} does not switch")
        if fault is None:
            self._node.event("info", "a gate switches again", pin=pin)
        else:
            self._node.event("critical", "a gate does not switch", pin=pin, fault=fault)

    def _tell_interlock(self, *, is_open: bool) -> None:
        self._health.note("interlock", "the interlock is open" if is_open else "")
        if is_open:
            self._remember_armed()
            self._node.event("error", "the interlock is open: the gates are disarmed")
        else:
            self._node.event("warning", "the interlock is closed: the gates may be armed again")

    def _tell_lost(self, lost: str) -> None:
        self._health.note("line", lost)
        if lost:
            self._node.event("error", f"{lost}: the gates are in their safe state")
        else:
            self._node.event("info", "the line is back: the gates have left their safe state")


def open_gates(settings: ActuatorLineSettings) -> GateBank:
    """Every configured gate, off.

    Raises:
        ConfigError: no pins on this machine, or not those.
    """
    plans = settings.actuator.rules(load_taxonomy(settings.taxonomy)).gates.values()
    return GateBank((plan.pin for plan in plans), pin_factory(), active_low=settings.actuator.active_low)


def open_interlock(settings: ActuatorLineSettings) -> Interlock | None:
    """The configured interlock, if there is one.

    Raises:
        ConfigError: its pin cannot be used.
    """
    own = settings.actuator.interlock
    if own is None:
        return None
    return Interlock(InterlockInput(own.pin, own.pull, own.closed, pin_factory()), own.debounce_ms)


def build(settings: ActuatorLineSettings) -> ActuatorService:
    """The service; its gates are off already."""
    bank = open_gates(settings)
    return ActuatorService(settings, bank, interlock=open_interlock(settings))
