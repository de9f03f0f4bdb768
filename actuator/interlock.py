"""The interlock: a contact (door, emergency stop) that has to be closed for gates to fire."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gpiozero import DigitalInputDevice
from gpiozero.pins import Factory

from actuator.gates import GateFault, pin_faults
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import ConfigError

log = logging.getLogger(__name__)

Pull = Literal["up", "down", "none"]
Level = Literal["low", "high"]
_LOOK_S = 0.02
_PULLS = {"up": True, "down": False, "none": None}


@dataclass(slots=True)
class Contact:
    """Open at the first sign of it; closed only once it has been for `debounce_ns` without a break. Pure."""

    debounce_ns: int
    is_open: bool = True
    _closed_since: int | None = None

    def see(self, *, closed: bool, now: int) -> bool:
        """Whether this look changed it. `now`: monotonic ns."""
        if not closed:
            changed, self.is_open, self._closed_since = not self.is_open, True, None
            return changed
        if self._closed_since is None:
            self._closed_since = now
        if self.is_open and now - self._closed_since >= self.debounce_ns:
            self.is_open = False
            return True
        return False


class InterlockInput:
    """The contact's pin. One that cannot be read is open.

    Args:
        pin: BCM number.
        pull: resistor of the Pi.
        closed: level of the pin while the contact is closed. With a pull it is the other level: a torn wire is open.
        factory: whose pins.

    Raises:
        ConfigError: the pin cannot be used.
    """

    def __init__(self, pin: int, pull: Pull, closed: Level, factory: Factory) -> None:
        active = {"active_state": closed == "high"} if pull == "none" else {}
        try:
            with pin_faults():
                self._device = DigitalInputDevice(pin, pull_up=_PULLS[pull], pin_factory=factory, **active)
        except GateFault as fault:
            raise ConfigError(f"actuator.interlock: pin {pin} cannot be used: {fault}") from None

    @property
    def closed(self) -> bool:
        try:
            with pin_faults():
                return bool(self._device.is_active)
        except GateFault as fault:
            log.debug("the interlock cannot be read: %s", fault)
            return False

    def on_edge(self, callback: Callable[[], None]) -> None:
        self._device.when_activated = callback
        self._device.when_deactivated = callback

    def close(self) -> None:
        self._device.close()


class Interlock:
    """Watches the contact: at each edge, and every 20 ms in case that one is missed.

    Args:
        contact_input: where it is read.
        debounce_ms: how long it has to be closed to count as closed.
    """

    def __init__(self, contact_input: InterlockInput, debounce_ms: float) -> None:
        self._input = contact_input
        self._contact = Contact(round(debounce_ms * NS_PER_MS))
        self._lock = threading.Lock()
        self._on_change: Callable[[bool], None] = lambda is_open: None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="interlock", daemon=True)
        # What is closed at the start has been for long.
        self._contact.is_open = not contact_input.closed

    @property
    def is_open(self) -> bool:
        return self._contact.is_open

    def start(self, on_change: Callable[[bool], None]) -> None:
        """From now on `on_change(is_open)` is called at each change, on a thread of the pins or on our own."""
        self._on_change = on_change
        self._input.on_edge(self._look)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)
        self._input.close()

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        with self._lock:
            if self._contact.see(closed=self._input.closed, now=time.monotonic_ns()):
                self._on_change(self._contact.is_open)
