"""What switches the pins. A thread of its own times them, so that no decision, disk or network delays a pulse's end."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from actuator.clock import Clock
from actuator.gates import Gate
from actuator.pulses import Pulse, PulsePlan, hold
from actuator.switches import OnFault, Switches
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, ns_to_ms
from pcb_bus.errors import CommandFailed

log = logging.getLogger(__name__)

_RETRY_NS = 100 * NS_PER_MS
_NO_GROUPS: Mapping[int, str] = MappingProxyType({})
_CLOCK = Clock()
PulseOutcome = Literal["fired", "late", "disarmed", "rejected"]


@dataclass(frozen=True, slots=True)
class PulseResult:
    """What became of a pulse, `at` ns since the epoch; `fired`: when its pin went high."""

    verdict_id: str
    outcome: PulseOutcome
    at: int


OnResult = Callable[[PulseResult], None]


@dataclass(frozen=True, slots=True)
class SafeState:
    """What the gates do while the line is away: nothing new with `paused`; `held` is a pin that is high meanwhile."""

    paused: bool = False
    held: int | None = None


class PulseDriver:
    """Begins pulses when they are due and ends them in time; whether any may begin is its to say.

    Args:
        gates: by BCM pin.
        on_result: hears of each pulse once; runs on the driver's thread (or that of a caller), so it only enqueues.
        on_fault: hears of pins that fail, in the same way.
        groups: pins with the same name are never high together.
        armed: whether pulses may begin.
        clock: turned by tests.
    """

    def __init__(
        self,
        gates: Mapping[int, Gate],
        on_result: OnResult,
        on_fault: OnFault = lambda pin, fault: None,
        *,
        groups: Mapping[int, str] = _NO_GROUPS,
        armed: bool = True,
        clock: Clock = _CLOCK,
    ) -> None:
        self._switches = Switches(gates, on_fault)
        self._on_result = on_result
        self._clock = clock
        self._armed = armed
        self._interlock_open = False
        self._safe = SafeState()
        self._stopping = self._closed = False
        self._plan = PulsePlan(groups)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="pulses", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace_s: float = 1.0) -> None:
        """Begin no more, let running pulses end for up to `grace_s`, then switch every pin off."""
        with self._changed:
            self._stopping = True
            self._cancel()
            self._plan.release(self._clock.monotonic())
            self._changed.notify_all()
            if self._thread.is_alive():
                self._changed.wait_for(lambda: not self._plan.high, grace_s)
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=0.5)
        self._switches.all_off()

    # What may begin

    @property
    def armed(self) -> bool:
        """Whether a person wants the gates to fire."""
        return self._armed

    @property
    def ready(self) -> bool:
        """Whether a pulse may begin."""
        return self._armed and not self._safe.paused and not self._stopping

    def arm(self) -> None:
        """A test pulse that runs ends.

        Raises:
            CommandFailed: the interlock is open.
        """
        with self._changed:
            if self._interlock_open:
                raise CommandFailed("the interlock is open")
            if not self._armed:
                self._drop_all()
            self._armed = True
            self._keep_safe()

    def disarm(self) -> None:
        """Every pin goes off at once, pulses that wait are cancelled, and none begins until `arm`."""
        with self._changed:
            self._armed = False
            self._drop_all()

    def set_interlock(self, *, is_open: bool) -> None:
        """Open: disarmed at once, and not to be armed. Closed: a person may arm again."""
        with self._changed:
            self._interlock_open = is_open
            if is_open:
                self.disarm()

    def go_safe(self, safe: SafeState) -> None:
        """Enter a safe state, or with `SafeState()` leave it."""
        with self._changed:
            if self._safe.held is not None:
                self._plan.release(self._clock.monotonic())
            self._safe = safe
            if safe.paused:
                self._drop_all()
            self._keep_safe()

    # Pulses

    def add(self, pulse: Pulse) -> None:
        """Begins on the spot if it is due: to wake the thread that ends it would take longer."""
        with self._changed:
            self._plan.add(pulse)
            if self.ready:
                self._step(self._clock.monotonic())
                self._changed.notify_all()
            else:
                self._cancel()

    def test(self, pin: int, duration_ns: int) -> None:
        """One pulse of a pin while no other can begin.

        Raises:
            CommandFailed: the gates are armed, the interlock is open, another test runs, or the pin fails.
        """
        with self._changed:
            if refusal := self._why_no_test():
                raise CommandFailed(refusal)
            if not self._switches.on(pin):
                self._switch_off(pin)
                raise CommandFailed(f"pin {pin} does not switch")
            now = self._clock.monotonic()
            self._plan.began(Pulse(now, now, "", pin, duration_ns), now)
            self._changed.notify_all()

    # Inside, with the lock held

    def _run(self) -> None:
        try:
            with self._changed:
                while not self._closed:
                    self._step(self._clock.monotonic())
                    self._changed.wait(self._seconds_to_next())
        finally:
            self._switches.all_off()

    def _step(self, now: int) -> None:
        due = self._plan.take_due(now)
        for pin in due.off:
            self._switch_off(pin)
        for pulse in due.begin:
            if self._plan.may_begin(pulse):
                self._begin(pulse)
            else:
                self._plan.add(pulse)  # a pin of its group did not go off
        for pulse in due.missed:
            self._tell(pulse, "late")
        if due.off:
            self._changed.notify_all()

    def _begin(self, pulse: Pulse) -> None:
        if self._switches.on(pulse.pin):
            # Counted from after the switch, so that a pulse is never shorter than asked for.
            self._plan.began(pulse, self._clock.monotonic())
            self._tell(pulse, "fired")
            log.debug("pin %d high for %g ms, verdict %s", pulse.pin, ns_to_ms(pulse.duration_ns), pulse.verdict_id)
            return
        self._switch_off(pulse.pin)
        if pulse.is_hold:
            self._plan.add(hold(pulse.pin, self._clock.monotonic() + _RETRY_NS))
        self._tell(pulse, "rejected")

    def _switch_off(self, pin: int) -> None:
        if not self._switches.off(pin):
            self._plan.stays_high(pin, self._clock.monotonic() + _RETRY_NS)

    def _drop_all(self) -> None:
        self._plan.drop_high()
        for pin in self._switches.all_off():
            self._plan.stays_high(pin, self._clock.monotonic() + _RETRY_NS)
        self._cancel()

    def _keep_safe(self) -> None:
        if self.ready and self._safe.held is not None:
            self._plan.release(self._clock.monotonic())
            self._plan.add(hold(self._safe.held))
        self._changed.notify_all()

    def _seconds_to_next(self) -> float | None:
        moment = self._plan.next_at
        return None if moment is None else max(0.0, (moment - self._clock.monotonic()) / NS_PER_S)

    def _cancel(self) -> None:
        for pulse in self._plan.cancel():
            self._tell(pulse, "disarmed")
        self._changed.notify_all()

    def _why_no_test(self) -> str | None:
        if self._armed:
            return "the gates are armed: disarm them first"
        if self._interlock_open:
            return "the interlock is open"
        if self._stopping:
            return "the actuator stops"
        return "another test runs, or a pin does not switch off" if self._plan.high else None

    def _tell(self, pulse: Pulse, outcome: PulseOutcome) -> None:
        if not pulse.is_hold:
            self._on_result(PulseResult(pulse.verdict_id, outcome, self._clock.wall()))
