"""Free run: a frame every 1/fps s, of no board in particular."""

from collections.abc import Sequence

from edge_publisher.mode import IDLE_S
from edge_publisher.outgoing import FrameSender
from edge_publisher.pacer import Pacer
from edge_publisher.sources import Picture


class FreeRun:
    """Sends the newest picture, `fps` times a second."""

    def __init__(self, sender: FrameSender, fps: float) -> None:
        self._sender = sender
        self._pacer = Pacer(fps)
        self._last: Picture | None = None

    def pace(self, fps: float) -> None:
        """`fps` from now on; any thread."""
        self._pacer.pace(fps)

    def arrived(self) -> None:
        """Nothing to do: `step` comes soon."""

    def step(self, pictures: Sequence[Picture], now: int) -> float:
        newest = pictures[-1] if pictures else None
        if newest is not None and newest is not self._last:
            self._last = newest
            if self._pacer.due(newest.captured_at):
                self._sender.send(newest)
        return IDLE_S
