"""What keeps the gates safe when the line is away or a door opens. It waits for no disk and no queue.

`LineWatch` and `Contact` are pure: `now` is monotonic ns.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from gpiozero import DigitalInputDevice
from gpiozero.pins import Factory

from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import PinFault, pin_faults

log = logging.getLogger(__name__)

Pull = Literal["up", "down", "none"]
Level = Literal["low", "high"]
_PULLS = {"up": True, "down": False, "none": None}
_SILENT_NS = 45 * NS_PER_S  # three heartbeats
_HEARSAY_NS = 20 * NS_PER_S  # what the broker remembers of one that may be long dead: until the next heartbeat


@dataclass(slots=True)
class LineWatch:
    """What has not been here for `after_ns` is lost: the broker, inference, or the disk of this station."""

    after_ns: int
    _here_until: dict[str, int] = field(default_factory=dict)

    def see(self, what: str, *, here: bool, now: int, lasts_ns: int = 0) -> None:
        """A look at `what`; a good one holds for `lasts_ns`. What was never seen is away since its first look."""
        until = self._here_until.get(what, now)
        self._here_until[what] = max(until, now + lasts_ns) if here else min(until, now)

    def heard_of_inference(self, *, here: bool, now: int, live: bool = True) -> None:
        """It said so, which holds for three heartbeats; or the broker remembers that it did."""
        self.see("inference is away", here=here, now=now, lasts_ns=_SILENT_NS if live else _HEARSAY_NS)

    def lost(self, now: int) -> str:
        """What is lost, in words; empty when the line is there."""
        return ", ".join(what for what, until in sorted(self._here_until.items()) if now - until >= self.after_ns)


@dataclass(slots=True)
class Contact:
    """Open at the first sign of it; closed only once it has been for `debounce_ns` without a break."""

    debounce_ns: int
    is_open: bool = True
    _closed_since: int | None = None

    def see(self, *, closed: bool, now: int) -> bool:
        """Whether this look changed it."""
        if not closed:
            changed, self.is_open, self._closed_since = not self.is_open, True, None
            return changed
        if self._closed_since is None:
            self._closed_since = now
        if self.is_open and now - self._closed_since >= self.debounce_ns:
            self.is_open = False
            return True
        return False


class Interlock:
    """A contact (door, emergency stop) that has to be closed for gates to fire. One that cannot be read is open.

    Args:
        pin: BCM number.
        pull: resistor of the Pi.
        closed: level of the pin while the contact is closed. With a pull it is the other level: a torn wire is open.
        debounce_ns: how long it has to be closed to count as closed.
        factory: whose pins.

    Raises:
        ConfigError: the pin cannot be used.
    """

    def __init__(self, pin: int, pull: Pull, closed: Level, debounce_ns: int, factory: Factory) -> None:
        active = {"active_state": closed == "high"} if pull == "none" else {}
        try:
            with pin_faults():
                self._device = DigitalInputDevice(pin, pull_up=_PULLS[pull], pin_factory=factory, **active)
        except PinFault as fault:
            raise ConfigError(f"actuator.interlock: pin {pin} cannot be used: {fault}") from None
        self._lock = threading.Lock()
        self._on_change: Callable[[bool], None] = lambda is_open: None
        self._contact = Contact(debounce_ns, is_open=not self._is_closed())  # what is closed at the start long has been

    @property
    def is_open(self) -> bool:
        return self._contact.is_open

    def watch(self, on_change: Callable[[bool], None]) -> None:
        """From now on `on_change(is_open)` is called at each change, on the pins' thread or on that of `look`."""
        self._on_change = on_change
        self._device.when_activated = self._device.when_deactivated = self.look

    def look(self) -> None:
        """At each edge, and now and then in case that one is missed."""
        with self._lock:
            if self._contact.see(closed=self._is_closed(), now=time.monotonic_ns()):
                self._on_change(self._contact.is_open)

    def close(self) -> None:
        self._device.close()

    def _is_closed(self) -> bool:
        try:
            with pin_faults():
                return bool(self._device.is_active)
        except PinFault as fault:
            log.debug("the interlock cannot be read: %s", fault)
            return False
