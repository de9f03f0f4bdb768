"""Decoded pictures on their way to the engine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from inference_subscriber.engines.base import Image
from pcb_bus.contract.messages import Frame
from pcb_bus.runtime.queues import Inbox

MAX_BYTES: Final = 256 * 2**20  # three of the largest pictures, or all that may wait of 1920x1080


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An admitted frame and its pixels."""

    frame: Frame
    image: Image

    @property
    def size(self) -> int:
        """In bytes, what is still compressed included."""
        return self.image.nbytes + len(self.frame.jpeg)


class PictureInbox(Inbox[Picture]):
    """Bounded by bytes as well; a single picture always has room."""

    def __init__(self, capacity: int, on_drop: Callable[[Picture], None], max_bytes: int = MAX_BYTES) -> None:
        super().__init__(capacity, on_drop)
        self._max_bytes = max_bytes

    def _overflow(self) -> list[Picture]:
        dropped = []
        while len(self._items) > 1 and self._is_over():
            dropped.append(self._items.popleft())
        return dropped

    def _is_over(self) -> bool:
        return len(self._items) > self._capacity or sum(each.size for each in self._items) > self._max_bytes
