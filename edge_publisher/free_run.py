"""Free run: a frame every 1/fps s, of no board in particular; but each picture of a folder is a board by itself."""

from collections.abc import Callable, Sequence

from edge_publisher.mode import IDLE_S
from edge_publisher.outgoing import FrameSender
from edge_publisher.pacer import Pacer
from edge_publisher.sources import Picture

_POLL_S = 0.01  # while the network is busy


class FreeRun:
    """Sends the newest picture, `fps` times a second.

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
