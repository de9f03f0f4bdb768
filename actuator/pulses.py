"""Which pin is high, until when, and which pulses wait; a thread of its own begins and ends each in its time.

No decision, disk or network delays the end of a pulse. All times are monotonic ns, unless they say otherwise.
"""

import logging
import threading
import time
from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from actuator.gates import Gate
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns, ns_to_ms
from pcb_bus.errors import CommandFailed
from pcb_bus.runtime.pins import PinFault
from pcb_bus.runtime.workers import Turn

log = logging.getLogger(__name__)

_RETRY_NS = 100 * NS_PER_MS
_FOREVER = 2**62


@dataclass(frozen=True, slots=True)
class Clock:
    """The two clocks of a station, in ns: `wall` since the epoch, `monotonic` since some moment. Turned by tests.

    `wall` is the line's time, as far as this station knows it: give or take `doubt`.
    """

    wall: Callable[[], int] = now_ns
    monotonic: Callable[[], int] = time.monotonic_ns
    doubt: Callable[[], int] = lambda: 0


@dataclass(frozen=True, slots=True, order=True)
class Pulse:
    """One pulse for one verdict: begun at `due` or soon after, but never after `expires`."""

    due: int
    expires: int
    verdict_id: str
    pin: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class PulseResult:
    """What became of a pulse at `monotonic`, and at `wall` (ns since the epoch); `fired`: when its pin went high."""

    pulse: Pulse
    outcome: Literal["fired", "late", "disarmed", "rejected"]
    wall: int
    monotonic: int


@dataclass(frozen=True, slots=True)
class SafeState:
    """What the gates do while the line is away: nothing new with `paused`; `held` is a pin that is high meanwhile."""

    paused: bool = False
    held: int | None = None


class Pulses:
    """Pulses that overlap on one pin become one: it stays high until the last of them has had its full time.

    Args:
        gates: by BCM pin.
        on_result: hears of each pulse once, on this thread or a caller's, so it only enqueues.
        on_fault: hears in the same way of a pin that fails and why, and with "" once it switches again.
        groups: pins with the same name are never high together. What is due while another pin of the group is high
            waits, the earliest due first; once it could not begin in time any more, it is late.
        armed: whether pulses may begin.
    """

    def __init__(
        self,
        gates: Mapping[int, Gate],
        on_result: Callable[[PulseResult], None],
        on_fault: Callable[[int, str], None] = lambda pin, fault: None,
        *,
        groups: Mapping[int, str] | None = None,
        armed: bool = True,
        clock: Clock | None = None,
    ) -> None:
        self._gates = gates
        self._on_result = on_result
        self._on_fault = on_fault
        self._groups = groups or {}
        self._clock = clock or Clock()
        self._armed = armed
        self._interlock_open = self._stopping = self._closed = False
        self._disarmed_at = 0
        self._safe = SafeState()
        self._held: int | None = None
        self._hold_again_at = 0
        self._waiting: list[Pulse] = []
        self._high: dict[int, int] = {}
        self._faulty: dict[int, set[str]] = {pin: set() for pin in gates}
        self._changed = threading.Condition()
        self.turn = Turn()
        self._thread = threading.Thread(target=self._run, name="pulses", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace_s: float = 1.0) -> None:
        """Begin no more, let running pulses end for up to `grace_s`, then switch every pin off."""
        with self._changed:
            self._stopping = True
            self._cancel()
            self._step()
            if self._thread.is_alive():
                self._changed.wait_for(lambda: not self._high, grace_s)
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=0.5)
        with self._changed:
            self._drop_all()

    # What may begin

    @property
    def armed(self) -> bool:
        """Whether a person wants the gates to fire."""
        return self._armed

    @property
    def ready(self) -> bool:
        """Whether a pulse may begin."""
        return self._armed and not self._safe.paused and not self._stopping

    def arm(self, asked_at: int) -> None:
        """A test pulse that runs ends.

        Raises:
            CommandFailed: the interlock is open, or the gates were disarmed after that was asked for.
        """
        with self._changed:
            self._check(asked_at)
            if not self._armed:
                self._drop_all()
            self._armed = True
            self._step()

    def disarm(self) -> None:
        """Every pin goes off at once, pulses that wait are cancelled, and none begins until `arm`."""
        with self._changed:
            self._armed = False
            self._disarmed_at = self._clock.monotonic()
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
            self._safe = safe
            if safe.paused:
                self._drop_all()
            self._step()

    # Pulses

    def add(self, pulse: Pulse) -> None:
        """Begins on the spot if it is due: to wake the thread that ends it would take longer."""
        with self._changed:
            insort(self._waiting, pulse)
            if self.ready:
                self._step()
            else:
                self._cancel()

    def test(self, pin: int, duration_ns: int, asked_at: int) -> None:
        """One pulse of a pin while no other can begin.

        Raises:
            CommandFailed: the gates are armed, the interlock is open, another test runs, the pin fails, or the gates
                were disarmed after that was asked for.
        """
        with self._changed:
            if self._armed:
                raise CommandFailed("the gates are armed: disarm them first")
            self._check(asked_at)
            if self._high:
                raise CommandFailed("another test runs, or a pin does not switch off")
            if not self._switch(pin, "on"):
                self._switch_off(pin)
                raise CommandFailed(f"pin {pin} does not switch")
            self._high[pin] = self._clock.monotonic() + duration_ns
            self._changed.notify_all()

    # Inside, with the lock held

    def _check(self, asked_at: int) -> None:
        if self._interlock_open:
            raise CommandFailed("the interlock is open")
        if self._stopping:
            raise CommandFailed("the actuator stops")
        if asked_at < self._disarmed_at:
            raise CommandFailed("the gates were disarmed after this was asked for")

    def _run(self) -> None:
        try:
            with self._changed:
                while not self._closed:
                    with self.turn:
                        self._step()
                    self._changed.wait(self._seconds_to_next())
        finally:
            with self._changed:
                self._drop_all()

    def _step(self) -> None:
        """Do what is due: ends first, then what may begin."""
        now = self._clock.monotonic()
        for pin in [pin for pin, until in self._high.items() if until <= now]:
            if pin == self._held:
                del self._high[pin]
            else:
                self._switch_off(pin)
        self._hold(now)
        waits_its_turn: set[str] = set()
        for pulse in [each for each in self._waiting if each.due <= now]:
            group = self._groups.get(pulse.pin, "")
            taken_until = self._taken_until(pulse.pin)
            if max(now, taken_until) > pulse.expires:
                self._tell(pulse, "late")
            elif taken_until or group in waits_its_turn:
                waits_its_turn.add(group)
                continue
            else:
                self._begin(pulse)
            self._waiting.remove(pulse)
        self._changed.notify_all()

    def _begin(self, pulse: Pulse) -> None:
        if not self._switch(pulse.pin, "on"):
            self._held = None if self._held == pulse.pin else self._held
            self._switch_off(pulse.pin)
            self._tell(pulse, "rejected")
            return
        # Counted from after the switch, so that a pulse is never shorter than asked for.
        end = self._clock.monotonic() + pulse.duration_ns
        self._high[pulse.pin] = max(self._high.get(pulse.pin, 0), end)
        self._tell(pulse, "fired")
        log.debug("pin %d high for %g ms, verdict %s", pulse.pin, ns_to_ms(pulse.duration_ns), pulse.verdict_id)

    def _hold(self, now: int) -> None:
        """Keep the pin of the safe state high; a pulse that runs on one that is released has its full time."""
        wanted, held = self._safe.held if self.ready else None, self._held
        if held is not None and held != wanted:
            self._held = None
            if held not in self._high:
                self._switch_off(held)
        if wanted is None or self._held is not None or now < self._hold_again_at or self._taken_until(wanted):
            return
        if self._switch(wanted, "on"):
            self._held = wanted
        else:
            self._switch_off(wanted)
            self._hold_again_at = now + _RETRY_NS

    def _taken_until(self, pin: int) -> int:
        """Until when another pin of its group is high; 0: none is."""
        group = self._groups.get(pin)
        high = self._high if self._held is None else {**self._high, self._held: _FOREVER}
        others = (until for other, until in high.items() if other != pin and self._groups.get(other) == group)
        return 0 if group is None else max(others, default=0)

    def _switch_off(self, pin: int) -> None:
        """One that does not obey counts as high, and is switched off again and again."""
        self._high.pop(pin, None)
        if not self._switch(pin, "off"):
            self._high[pin] = self._clock.monotonic() + _RETRY_NS

    def _drop_all(self) -> None:
        self._held = None
        for pin in self._gates:
            self._switch_off(pin)
        self._cancel()

    def _cancel(self) -> None:
        cancelled, self._waiting = self._waiting, []
        for pulse in cancelled:
            self._tell(pulse, "disarmed")
        self._changed.notify_all()

    def _seconds_to_next(self) -> float | None:
        now = self._clock.monotonic()
        moments = [*self._high.values(), *(each.due if each.due > now else each.expires + 1 for each in self._waiting)]
        if self._hold_again_at > now:
            moments.append(self._hold_again_at)
        return max(0, min(moments) - now) / NS_PER_S if moments else None

    def _switch(self, pin: int, way: Literal["on", "off"]) -> bool:
        """Whether the pin obeyed; a pin that fails is told of once, and once it does all again."""
        faulty = self._faulty[pin]
        try:
            getattr(self._gates[pin], way)()
        except PinFault as fault:
            if not faulty:
                self._on_fault(pin, str(fault))
            faulty.add(way)
            return False
        if faulty == {way}:
            self._on_fault(pin, "")
        faulty.discard(way)
        return True

    def _tell(self, pulse: Pulse, outcome: Literal["fired", "late", "disarmed", "rejected"]) -> None:
        self._on_result(PulseResult(pulse, outcome, self._clock.wall(), self._clock.monotonic()))
