"""What a trigger mode is: it decides which pictures become frames. And the simplest one, free run."""

from collections.abc import Callable, Sequence
from typing import Protocol

from edge_publisher.outgoing import FrameSender
from edge_publisher.sources import Picture
from pcb_bus.contract.times import NS_PER_S

IDLE_S = 0.5
_POLL_S = 0.01  # while the network is busy


class Mode(Protocol):
    """Driven by one thread, at each new picture and whenever the mode itself asked to be woken."""

    def step(self, pictures: Sequence[Picture], now: int) -> float:
        """Send what is due of the recent `pictures` (oldest first); seconds until it must be called again."""
        ...

    def arrived(self) -> None:
        """A picture came; on the camera's thread, so that it only has others do something."""
        ...

    def pace(self, fps: float) -> None:
        """Frames per second from now on, where no trigger decides; any thread."""
        ...


class Pacer:
    """At most `fps` a second, evenly: slots of 1/fps s, each for the first picture that comes in time for it."""

    def __init__(self, fps: float) -> None:
        self._period = round(NS_PER_S / fps)
        self._slot: int | None = None

    def pace(self, fps: float) -> None:
        """From now on; the slot that comes next stays where it is. Any thread."""
        self._period = round(NS_PER_S / fps)

    def due(self, at: int) -> bool:
        """Whether to send the picture of the time `at` (ns); if so, its slot is taken."""
        slot = self._slot
        if slot is None or at < slot - 2 * self._period:  # the first one, or the clock was set back
            slot = at
        if at < slot - self._period // 4:
            return False
        late = at - slot
        self._slot = (slot if late < self._period // 2 else at) + self._period
        return True


class FreeRun:
    """Mode `free_run`: the newest picture, `fps` times a second, of no board in particular.

    Args:
        is_free: whether the network has sent all that it was given: what waits for a slow one would be old by then.
        stills: every picture is sent, as a board by itself.
    """

    def __init__(
        self, sender: FrameSender, fps: float, is_free: Callable[[], bool] = lambda: True, *, stills: bool = False
    ) -> None:
        self._sender = sender
        self._is_free = is_free
        self._stills = stills
        self._pacer = Pacer(fps)
        self._last: Picture | None = None

    def pace(self, fps: float) -> None:
        """`fps` from now on; any thread."""
        self._pacer.pace(fps)

    def arrived(self) -> None:
        """Nothing to do: `step` comes soon."""

    def step(self, pictures: Sequence[Picture], now: int) -> float:
        newest = pictures[-1] if pictures else None
        if self._stills:
            last, self._last = self._last, newest or self._last
            for picture in pictures:
                if last is None or picture.captured_at > last.captured_at:
                    self._sender.send_alone(picture)
        elif newest is not None and newest is not self._last:
            if not self._is_free():
                return _POLL_S
            self._last = newest
            if self._pacer.due(newest.captured_at):
                self._sender.send(newest)
        return IDLE_S
