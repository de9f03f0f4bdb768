"""Switching gates that may fail: one that does is told of once, and the others go on."""

from collections.abc import Callable, Mapping

from actuator.gates import Gate, GateFault

OnFault = Callable[[int, str | None], None]
"""Hears of a pin that fails and why, and with None once it switches again."""


class Switches:
    """Used under the lock of whoever drives the pins.

    Args:
        gates: by BCM pin.
        on_fault: only enqueues.
    """

    def __init__(self, gates: Mapping[int, Gate], on_fault: OnFault) -> None:
        self._gates = gates
        self._on_fault = on_fault
        self._faulty: dict[int, set[str]] = {pin: set() for pin in gates}

    def on(self, pin: int) -> bool:
        """Whether the pin is high now; otherwise nobody knows, and it is to be switched off."""
        return self._switch(pin, "on", self._gates[pin].on)

    def off(self, pin: int) -> bool:
        """Whether the pin is off now."""
        return self._switch(pin, "off", self._gates[pin].off)

    def all_off(self) -> tuple[int, ...]:
        """Every pin; returns those that do not obey."""
        return tuple(pin for pin in self._gates if not self.off(pin))

    def _switch(self, pin: int, way: str, action: Callable[[], None]) -> bool:
        faulty = self._faulty[pin]
        try:
            action()
        except GateFault as fault:
            if not faulty:
                self._on_fault(pin, str(fault))
            faulty.add(way)
            return False
        if way in faulty:
            faulty.discard(way)
            if not faulty:
                self._on_fault(pin, None)
        return True
