"""What a trigger mode is: it decides which pictures become frames."""

from collections.abc import Sequence
from typing import Protocol

from edge_publisher.sources import Picture

IDLE_S = 0.5


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
