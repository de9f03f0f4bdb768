"""Mode `gpio`: a photo-eye on a pin of this Pi announces the boards.

`Debounce` is pure: times are monotonic ns.
"""

import queue
import time
from collections.abc import Callable, Sequence

from gpiozero import InputDevice
from gpiozero.pins import Factory

from edge_publisher.mode import IDLE_S
from edge_publisher.on_trigger import Announcer, OnTrigger
from edge_publisher.outgoing import FrameSender
from edge_publisher.settings import GpioSettings
from edge_publisher.sources import Picture
from edge_publisher.sources.base import age_of
from edge_publisher.triggers import Waiting
from pcb_bus.contract.times import NS_PER_S, ms_to_ns, steady_of
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import PinFault, pin_factory, pin_faults
from pcb_bus.runtime.service import Service

_PULLS = {"up": True, "down": False, "none": None}


class Debounce:
    """A board is there once the light barrier has been broken for `hold` ns; since the first moment that it was.

    What is shorter is dirt or electrical noise. The edge of a board that flickers is one moment, the first.

    Args:
        broken: whether it is broken at the start: then a board stands there, and is nobody's.
    """

    def __init__(self, hold: int, *, broken: bool) -> None:
        self._hold = hold
        self._stands = self._broken = broken
        self._since: int | None = None
        self._last = 0

    @property
    def broken(self) -> bool:
        """At the last edge."""
        return self._broken

    @property
    def due(self) -> int | None:
        """When to look again; None: not before the next edge."""
        return None if self._since is None else self._last + self._hold

    def edge(self, at: int, *, broken: bool) -> None:
        """The barrier was broken, or is free again, at that moment."""
        if broken == self._broken:
            return
        self._since = at if self._since is None else self._since
        self._broken, self._last = broken, at

    def look(self, now: int) -> int | None:
        """When the board came that is known to be there by `now`; each is told once."""
        if self.due is None or now < self.due:
            return None
        since, self._since = self._since, None
        came = self._broken and not self._stands
        self._stands = self._broken
        return since if came else None


class PhotoEye:
    """The pin of a light barrier. It hands over its edges with their moments, from the pins' thread.

    Args:
        on_edge: called when there is one.

    Raises:
        ConfigError: the pin cannot be used.
    """

    def __init__(self, settings: GpioSettings, factory: Factory, on_edge: Callable[[], None]) -> None:
        self._breaks_high = settings.edge == "rising"
        self._edges: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        self._on_edge = on_edge
        floating = {"active_state": True} if settings.pull == "none" else {}
        try:
            with pin_faults():
                self._device = InputDevice(settings.pin, pull_up=_PULLS[settings.pull], pin_factory=factory, **floating)
                self._device.pin.edges = "both"
                self._device.pin.when_changed = self._changed
        except PinFault as fault:
            raise ConfigError(f"edge.gpio.pin: {settings.pin} cannot be used: {fault}") from None

    @property
    def broken(self) -> bool:
        """Whether it is broken now; raises PinFault if the pin cannot be read."""
        with pin_faults():
            return bool(self._device.pin.state) == self._breaks_high

    def edges(self) -> list[tuple[int, bool]]:
        """Those since the last call: the moment, monotonic ns, and whether the barrier was broken then."""
        return [self._edges.get() for _ in range(self._edges.qsize())]

    def close(self) -> None:
        self._device.close()

    def _changed(self, ticks: float, state: float) -> None:
        """The kernel's own time of the interrupt, where that is the monotonic clock: threads may be late."""
        now = time.monotonic_ns()
        self._edges.put((now - age_of(round(ticks * NS_PER_S), now), bool(state) == self._breaks_high))
        self._on_edge()


class OnPhotoEye(OnTrigger):
    """Announces each board that breaks the light barrier, and answers it; other triggers as `OnTrigger` does.

    Raises:
        ConfigError: the pin cannot be used.
    """

    def __init__(
        self,
        node: Service,
        sender: FrameSender,
        settings: GpioSettings,
        announcer: Announcer,
        period: int,
        wake: Callable[[], None],
    ) -> None:
        super().__init__(node, sender, period, wake)
        self._announcer = announcer
        self._eye = PhotoEye(settings, pin_factory(), wake)
        self._debounce = Debounce(ms_to_ns(settings.debounce_ms), broken=self._eye.broken)
        self._differs = False

    def step(self, pictures: Sequence[Picture], now: int) -> float:
        """Sends what is due; a board that has come is answered like any trigger, with the picture nearest to it."""
        monotonic = time.monotonic_ns()
        for at, broken in self._edges(monotonic):
            self._announce(self._debounce.look(at), now)
            self._debounce.edge(at, broken=broken)
        self._announce(self._debounce.look(monotonic), now)
        due = self._debounce.due
        wait_s = IDLE_S if due is None else max(0, due - time.monotonic_ns()) / NS_PER_S
        return min(wait_s, super().step(pictures, now))

    def close(self) -> None:
        self._eye.close()

    def _edges(self, now: int) -> list[tuple[int, bool]]:
        edges = self._eye.edges()
        try:
            broken = self._eye.broken
        except PinFault as fault:
            self._node.fault("photo-eye", f"the photo-eye cannot be read: {fault}")
            return edges
        self._node.fault("photo-eye", "", again="the photo-eye can be read again")
        differed, self._differs = self._differs, not edges and broken != self._debounce.broken
        return [(now, broken)] if differed and self._differs else edges  # of many at once the kernel drops some

    def _announce(self, came: int | None, now: int) -> None:
        if came is None or self._sender.paused:
            return
        moment = steady_of(came)  # `now` was read before: the thread may have waited since
        board_id, at = board_pass = self._announcer.name(moment)
        self._triggers.put(Waiting(board_id, at, now, moment - at))
        self._announcer.publish(board_pass, came)
