"""The actuator put together: one thread decides and writes, one times the pins, one keeps the gates safe."""

import atexit
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from gpiozero.pins import Factory

from actuator import metrics
from actuator.commands import Commands
from actuator.decide import Rules
from actuator.gates import Gate, close_all, open_gates
from actuator.ledger import Ledger
from actuator.pulses import Clock, Pulses, SafeState
from actuator.safety import Interlock, LineWatch
from actuator.settings import NODE, ActuatorLineSettings
from actuator.triggers import BoardMoments
from actuator.verdicts import Verdicts
from pcb_bus.contract.messages import Level, NodeStatus, Trigger, Unreported, UnreportedVerdict
from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.times import ms_to_ns
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import Pace, resend
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.clock import LineClock
from pcb_bus.runtime.line_time import TimeFollower
from pcb_bus.runtime.logs import Throttle
from pcb_bus.runtime.pins import pin_factory
from pcb_bus.runtime.service import Service

_DECIDING, _SAFETY, _OUTBOX = "verdicts", "safety", "outbox"
_HANGS_S = 1.0  # one decision that takes longer: its disk hangs


class ActuatorService:
    """Its session has no memory at the broker, so that nothing old can reach a pin.

    Args:
        clock: what time it is on the line: verdicts are judged by it.

    Raises:
        ConfigError: ledger, outbox, credentials or TLS files cannot be used, or the settings do not fit together.
    """

    def __init__(
        self,
        settings: ActuatorLineSettings,
        gates: Mapping[int, Gate],
        pace: Pace | None = None,
        interlock: Interlock | None = None,
        clock: LineClock | None = None,
    ) -> None:
        own = settings.actuator
        rules = rules_of(settings)
        self._gates = gates
        self._interlock = interlock
        self._service = service = Service("actuator", NODE, settings, clock=clock)
        tell = partial(service.event, "critical")
        TimeFollower(service)
        self._ledger = Ledger(own.ledger, tell=tell)
        self._outbox = Outbox(own.outbox, own.bounds, "actuator.outbox", tell)
        self._worker = service.worker(_DECIDING)
        self._pulses = Pulses(
            gates,
            lambda result: self._worker.do(lambda: self._verdicts.pulsed(result)),
            lambda pin, fault: service.worker(_SAFETY).do(lambda: self._tell_pin(pin, fault)),
            groups=rules.groups,
            armed=own.armed and self._ledger.armed(),
            clock=(clocks := Clock(service.clock.now, time.monotonic_ns, lambda: service.clock.doubt)),
        )
        self._moments = BoardMoments(settings.root, rules.max_lag_ns)
        self._verdicts = Verdicts(rules, self._ledger, self._outbox, self._pulses, self._moments, self, clocks)
        resend(service, "actuation", self._outbox, pace, name=_OUTBOX)
        service.survives(_DECIDING, _OUTBOX)  # a disk that hangs: the gates are in their safe state, and stay in it
        service.watch("pulses", self._pulses.turn)
        self._commands = Commands(service, self._pulses, self._ledger, rules.gates, _DECIDING)
        self._watch = LineWatch(ms_to_ns(own.safe_state.after_ms))
        self._safe = own.safe(rules)
        self._complaints = Throttle(interval_s=30)
        self._unreported: list[UnreportedVerdict] = []
        self._declare(rules)

    def start(self) -> None:
        atexit.register(close_all, self._gates)
        if self._interlock is not None:
            if self._interlock.is_open:
                self._on_interlock(True)
            self._interlock.watch(self._on_interlock)
        self._pulses.start()
        self._service.start()

    def wait_connected(self, timeout: float) -> bool:
        """Whether it is connected, within `timeout` seconds."""
        return self._service.session.wait_connected(timeout)

    def stop(self) -> None:
        """Pulses that run may end; what waits is reported as disarmed; every pin is off afterwards."""
        try:
            self._pulses.stop()
        finally:
            close_all(self._gates)
        self._service.join(_DECIDING, timeout=0.5)
        self._service.stop(0.5)
        if self._interlock is not None:
            self._interlock.close()  # who still looked would find it open
        self._outbox.close()
        self._ledger.close()

    def _declare(self, rules: Rules) -> None:
        service, topics = self._service, self._service.topics
        service.on(topics.verdict, None, self._judge, thread=_DECIDING, queue=2000)
        service.on(topics.unreported, Unreported, self._on_unreported, thread=_DECIDING, queue=1)
        service.every(1.0, self._look, thread=_DECIDING)
        self._watch.heard_of_inference(here=False, now=time.monotonic_ns())
        service.on(topics.status("inference"), NodeStatus, self._on_inference, thread=None, retained=True)
        if any(plan.delay_ns is not None for plan in rules.gates.values()):
            service.on(topics.trigger, Trigger, self._on_trigger, thread=None)
        service.every(0.1, self._keep_safe, thread=_SAFETY)
        if self._interlock is not None:
            service.every(0.02, self._interlock.look, thread=_SAFETY)

    # Where it arrives

    def _on_trigger(self, trigger: Trigger, _: Delivery) -> None:
        if not self._moments.note(trigger, time.monotonic_ns()):
            self._service.session.complain("late trigger", f"a trigger of {trigger.source} was held up on its way")

    def _on_inference(self, status: NodeStatus, delivery: Delivery) -> None:
        now = time.monotonic_ns()
        self._watch.heard_of_inference(here=status.state != "offline", now=now, live=not delivery.retain)

    # On the thread of the safety

    def _keep_safe(self) -> None:
        now = time.monotonic_ns()
        self._watch.see("no broker", here=self._service.session.connected, now=now)
        self._watch.see("the disk hangs", here=self._worker.turn.busy_s() < _HANGS_S, now=now)
        lost, before = self._watch.lost(now), self._service.health["line"]
        if bool(lost) != bool(before):
            self._pulses.go_safe(self._safe if lost else SafeState())
        fault = f"{lost}: the gates are in their safe state" if lost else ""
        self._service.fault("line", fault, again="the line is back: the gates have left their safe state")
        armed = self._pulses.armed
        self._service.health["armed"] = "" if armed else "disarmed"
        metrics.ARMED.set(armed)

    def _on_interlock(self, is_open: bool) -> None:
        self._pulses.set_interlock(is_open=is_open)
        self._worker.do(self._commands.keep_armed)
        fault = "the interlock is open: the gates are disarmed" if is_open else ""
        self._service.fault("interlock", fault, again="the interlock is closed: the gates may be armed again")

    def _tell_pin(self, pin: int, reason: str) -> None:
        fault = f"pin {pin} does not switch" if reason else ""
        self._service.fault(f"pin {pin}", fault, "critical", f"pin {pin} switches again", reason=reason)

    # On the thread that decides

    def _judge(self, delivery: Delivery) -> None:
        clock = self._service.clock
        self._verdicts.judge(replace(delivery, received_at=clock.line(clock.of_wall(delivery.received_at))))

    def _on_unreported(self, unreported: Unreported, _: Delivery) -> None:
        """The newest list holds."""
        busy, self._unreported = bool(self._unreported), list(unreported.verdicts)
        if not busy:
            self._answer_next()

    def _answer_next(self) -> None:
        """One at a time: a fresh verdict does not wait for all of them."""
        if self._unreported:
            self._verdicts.answer(self._unreported.pop(0))
            self._worker.do(self._answer_next)

    def _look(self) -> None:
        self._verdicts.look()
        self._commands.keep_armed()
        fault = "ledger or outbox fails: no gate fires" if self._verdicts.fault else ""
        self._service.fault("ledger", fault, "critical", "ledger and outbox work again", reason=self._verdicts.fault)

    def publish(self, report: bytes) -> None:
        """Say a report."""
        self._service.session.publish(self._service.topics.actuation, report)

    def reject(self, rejection: MessageRejected) -> None:
        """Count a payload that is no verdict."""
        self._service.session.reject("verdict", rejection)

    def tell(self, level: Level, message: str, **details: Any) -> None:
        """What a person should know, once in a while of each kind."""
        held = self._complaints.admit(message)
        if held is not None:
            self._service.event(level, message, more=held, **details)


def rules_of(settings: ActuatorLineSettings) -> Rules:
    """How this station decides.

    Raises:
        ConfigError: the taxonomy cannot be used, or does not fit.
    """
    return settings.actuator.rules(load_taxonomy(settings.taxonomy))


def open_all_gates(settings: ActuatorLineSettings) -> Mapping[int, Gate]:
    """Every configured gate, off.

    Raises:
        ConfigError: no pins on this machine, or not those.
    """
    pins = (plan.pin for plan in rules_of(settings).gates.values())
    return open_gates(pins, pin_factory(), active_low=settings.actuator.active_low)


def open_interlock(settings: ActuatorLineSettings, factory: Factory) -> Interlock | None:
    """The configured interlock, if there is one.

    Raises:
        ConfigError: its pin cannot be used.
    """
    own = settings.actuator.interlock
    return None if own is None else Interlock(own.pin, own.pull, own.closed, ms_to_ns(own.debounce_ms), factory)


def build(settings: ActuatorLineSettings) -> ActuatorService:
    """The service; its gates are off already."""
    gates = open_all_gates(settings)
    return ActuatorService(settings, gates, interlock=open_interlock(settings, pin_factory()))
