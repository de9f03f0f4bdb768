"""The thread that switches the pins. It alone times them, so that no decision, disk or network delays a pulse's end."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from actuator.gates import Gate
from actuator.pulses import Pulse, PulsePlan
from pcb_bus.clock import NS_PER_S, now_ns, ns_to_ms

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PulseResult:
    """What became of a pulse, `at` ns since the epoch; `fired`: when its pin went high."""

    verdict_id: str
    outcome: Literal["fired", "late", "disarmed"]
    at: int


OnResult = Callable[[PulseResult], None]


class PulseDriver:
    """Begins pulses when they are due and ends them in time; armed or not is its to say.

    Args:
        gates: by BCM pin.
        on_result: hears of each pulse once; runs on the driver's thread (or that of `disarm`), so it only enqueues.
        armed: whether pulses may begin.
    """

    def __init__(self, gates: Mapping[int, Gate], on_result: OnResult, *, armed: bool = True) -> None:
        self._gates = gates
        self._on_result = on_result
        self._armed = armed
        self._closed = False
        self._plan = PulsePlan()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="pulses", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, grace_s: float = 1.0) -> None:
        """Begin no more, let running pulses end for up to `grace_s`, then switch every pin off."""
        with self._changed:
            self._armed = False
            self._cancel()
            if self._thread.is_alive():
                self._changed.wait_for(lambda: not self._plan.high, grace_s)
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=0.5)
        self._all_off()

    @property
    def armed(self) -> bool:
        return self._armed

    def arm(self) -> None:
        with self._changed:
            self._armed = not self._closed

    def disarm(self) -> None:
        """Every pin goes off at once, pulses that wait are cancelled, and none begins until `arm`."""
        with self._changed:
            self._armed = False
            self._all_off()
            self._plan.drop_high()
            self._cancel()

    def add(self, pulse: Pulse) -> None:
        with self._changed:
            self._plan.add(pulse)
            if self._armed:
                self._changed.notify_all()
            else:
                self._cancel()

    def _run(self) -> None:
        try:
            with self._changed:
                while not self._closed:
                    self._step(time.monotonic_ns())
                    self._changed.wait(self._seconds_to_next())
        finally:
            self._all_off()

    def _step(self, now: int) -> None:
        due = self._plan.take_due(now)
        for pulse in due.begin:
            self._begin(pulse)
        for pin in due.off:
            self._gates[pin].off()
        for pulse in due.missed:
            self._tell(pulse, "late")
        if due.off:
            self._changed.notify_all()

    def _begin(self, pulse: Pulse) -> None:
        self._gates[pulse.pin].on()
        # Counted from after the switch, so that a pulse is never shorter than asked for.
        self._plan.began(pulse, time.monotonic_ns())
        self._tell(pulse, "fired")
        log.debug("pin %d high for %g ms, verdict %s", pulse.pin, ns_to_ms(pulse.duration_ns), pulse.verdict_id)

    def _seconds_to_next(self) -> float | None:
        moment = self._plan.next_at
        return None if moment is None else max(0.0, (moment - time.monotonic_ns()) / NS_PER_S)

    def _cancel(self) -> None:
        for pulse in self._plan.cancel():
            self._tell(pulse, "disarmed")
        self._changed.notify_all()

    def _tell(self, pulse: Pulse, outcome: Literal["fired", "late", "disarmed"]) -> None:
        self._on_result(PulseResult(pulse.verdict_id, outcome, now_ns()))

    def _all_off(self) -> None:
        with ExitStack() as stack:
            for gate in self._gates.values():
                stack.callback(gate.off)
