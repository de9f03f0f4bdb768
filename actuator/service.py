"""The actuator put together: two sessions, one worker, one thread for the pins."""

import atexit
import logging
from typing import Any

from actuator import metrics
from actuator.auditor import Auditor
from actuator.clock import Clock
from actuator.driver import PulseDriver, PulseResult
from actuator.gates import GateBank, pin_factory
from actuator.keeper import Keeper
from actuator.ledger import Ledger
from actuator.reading import Broken
from actuator.reporter import OnAnswer, Reporter
from actuator.settings import NODE, ActuatorLineSettings
from actuator.worker import Worker
from pcb_bus import metrics as bus_metrics
from pcb_bus.clock import NS_PER_MS, now_ns
from pcb_bus.codec import decode_json
from pcb_bus.errors import CommandFailed, MessageRejected
from pcb_bus.fullness import Fullness
from pcb_bus.log import Throttle
from pcb_bus.messages import Recorded
from pcb_bus.node import Identity, Node, with_credentials
from pcb_bus.resends import Pace, Resends
from pcb_bus.session import Delivery, MqttSession, SessionOptions, Subscription
from pcb_bus.taxonomy import load_taxonomy
from pcb_bus.topics import exactly

log = logging.getLogger(__name__)

_MAX_BACKLOG = 2000
_AUDIT_AHEAD = 1000
_NAMED_IN_EVENT = 20
_WRITTEN_S = 1.0
_PACE = Pace(gap_ns=50 * NS_PER_MS, batch=10)  # a fresh verdict waits for no more than a batch


class ActuatorService:
    """The gate session acts: clean start, nothing retained, no memory at the broker. The audit session only reports.

    Every decision, ledger entry and report is made by one worker; the driver's thread alone times the pins.

    Raises:
        ConfigError: ledger, credentials or TLS files cannot be used.
    """

    def __init__(self, settings: ActuatorLineSettings, bank: GateBank, pace: Pace = _PACE) -> None:
        own, clock = settings.actuator, Clock()
        self._clock = clock
        rules = own.rules(load_taxonomy(settings.taxonomy))
        self._bank = bank
        self._ledger = Ledger(own.ledger, own.memory)
        self._node = Node(Identity("actuator", NODE), settings, SessionOptions(durable=False))
        self._audit = self._audit_session(settings)
        self._worker = Worker("verdicts", self._on_idle)
        armed = own.armed and self._ledger.armed()
        self._driver = PulseDriver(bank.by_pin, self._on_pulse, armed=armed)
        self._reporter = Reporter(self._ledger, self._publish, self._worker.do)
        self._keeper = Keeper(rules, self._ledger, self._driver, self._reporter, self._on_broken, clock)
        self._auditor = Auditor(self._ledger, self._reporter, clock)
        self._resends = Resends(self._ledger, self._publish_again, pace)
        self._fullness = Fullness()
        self._unreadable = Throttle(interval_s=30)
        self._listen()
        self._show_state()

    def start(self) -> None:
        atexit.register(self._bank.close)
        self._worker.start()
        self._driver.start()
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
        self._audit.stop(flush_s=0)
        self._worker.flush(timeout=1.0)
        self._node.stop()
        self._worker.stop()
        self._ledger.close()

    # Wiring

    def _audit_session(self, settings: ActuatorLineSettings) -> MqttSession:
        client_id = f"{settings.root}-{NODE}-audit".replace("/", "-")
        options = SessionOptions(durable=True, receive_maximum=_AUDIT_AHEAD)
        return MqttSession(client_id, with_credentials(settings.broker, NODE), options, settings.root)

    def _listen(self) -> None:
        verdicts = exactly(self._node.topics.verdict)
        self._node.session.subscribe(Subscription(verdicts, self._on_verdict))
        self._audit.subscribe(Subscription(verdicts, self._auditor.hear, manual_ack=True))
        self._node.session.subscribe(Subscription(exactly(self._node.topics.recorded), self._on_recorded))
        self._node.session.on_up(lambda: self._worker.do(self._resends.start_over))
        self._node.on_command("arm", lambda _: self._set_armed(True))
        self._node.on_command("disarm", lambda _: self._set_armed(False))

    def _on_verdict(self, delivery: Delivery) -> None:
        # What is dropped here comes through the audit session, and is reported late.
        if self._worker.backlog >= _MAX_BACKLOG:
            bus_metrics.DROPPED.labels("verdict", "backlog").inc()
        else:
            self._worker.do(lambda: self._keeper.judge(delivery))

    def _on_recorded(self, delivery: Delivery) -> None:
        self._worker.do(lambda: self._clear(delivery))

    def _on_pulse(self, result: PulseResult) -> None:
        self._worker.do(lambda: self._keeper.pulsed(result))

    def _publish(self, payload: bytes, on_answer: OnAnswer) -> bool:
        return self._node.session.publish(self._node.topics.actuation, payload, on_done=on_answer)

    def _publish_again(self, payload: bytes, on_answer: OnAnswer) -> bool:
        session = self._node.session
        return session.connected and session.publish(self._node.topics.resend_actuation, payload, on_done=on_answer)

    # On the worker's thread

    def _recover(self) -> None:
        silent = self._ledger.recover()
        for kept in silent:
            self._reporter.publish(kept.payload)
        if silent:
            self._node.event(
                "error",
                "gates may have stayed silent across a crash; reported as late",
                count=len(silent),
                verdict_ids=[kept.identity for kept in silent[:_NAMED_IN_EVENT]],
            )

    def _on_idle(self) -> float:
        self._reporter.flush()
        self._reporter.retry(self._clock.monotonic())
        self._resends.tick(self._clock.monotonic())
        self._ledger.prune(now_ns())
        self._watch_ledger()
        return min(self._auditor.settle(), self._resends.patience_s(self._clock.monotonic()))

    def _clear(self, delivery: Delivery) -> None:
        try:
            recorded = decode_json(Recorded, delivery.payload)
        except MessageRejected as rejection:
            self._node.reject("recorded", rejection)
            return
        self._reporter.named(recorded.actuations)
        self._resends.heard(self._clock.monotonic())

    def _watch_ledger(self) -> None:
        bus_metrics.OUTBOX_WAITING.set(len(self._ledger))
        alert = self._fullness.see(self._ledger.fill, self._ledger.fault)
        if alert is not None:
            self._node.event(alert.level, alert.message, waiting=len(self._ledger), fault=self._ledger.fault)
            self._show_state()

    def _on_broken(self, broken: Broken) -> None:
        self._node.reject("verdict", broken.rejection)
        held = self._unreadable.admit("verdict", now_ns()) if broken.subject is None else None
        if held is not None:
            self._node.event("warning", "an unreadable verdict fired nothing", reason=str(broken.rejection), more=held)

    def _remember_armed(self, armed: bool) -> None:
        self._ledger.remember_armed(armed)
        self._show_state()

    def _show_state(self) -> None:
        armed = self._driver.armed
        metrics.ARMED.set(armed)
        detail = ", ".join(filter(None, ("" if armed else "disarmed", self._fullness.detail)))
        self._node.set_state("degraded" if detail else "online", detail)

    # On the node's thread

    def _set_armed(self, armed: bool) -> dict[str, Any]:
        if armed:
            self._driver.arm()
        else:
            self._driver.disarm()
        self._worker.do(lambda: self._remember_armed(armed))
        self._node.event("warning", "gates armed by command" if armed else "gates disarmed by command")
        if not self._worker.flush(_WRITTEN_S):
            raise CommandFailed("done, but the ledger is too busy to remember it: it may not outlive a restart")
        return {"armed": self._driver.armed}


def open_gates(settings: ActuatorLineSettings) -> GateBank:
    """Every configured gate, off.

    Raises:
        ConfigError: no pins on this machine, or not those.
    """
    plans = settings.actuator.rules(load_taxonomy(settings.taxonomy)).gates.values()
    return GateBank((plan.pin for plan in plans), pin_factory(), active_low=settings.actuator.active_low)


def build(settings: ActuatorLineSettings) -> ActuatorService:
    """The service; its gates are off already."""
    return ActuatorService(settings, open_gates(settings))
