"""Decoded pictures on their way to the engine."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from inference_subscriber.board import Inspected
from inference_subscriber.engines.base import Image
from pcb_bus.contract.messages import Frame
from pcb_bus.runtime.queues import Inbox

MAX_BYTES: Final = 256 * 2**20  # three of the largest pictures, or all that may wait of 1920x1080


class DryRun(Protocol):
    """Whoever asked for pictures to be inspected that are of no board."""

    def deliver(self, results: Iterable[tuple[Frame, Inspected]]) -> None:
        """This was found."""

    def lose(self, frame: Frame) -> None:
        """It cannot be inspected."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """An admitted frame and its pixels; of a board, unless somebody asked for a dry run."""

    frame: Frame
    image: Image
    dry_run: DryRun | None = None

    @property
    def size(self) -> int:
        """In bytes, what is still compressed included."""
        return self.image.nbytes + len(self.frame.jpeg)


class PictureInbox(Inbox[Picture]):
    """Bounded by bytes as well; a single picture always has room. Those of boards go before those of a dry run."""

    def __init__(self, capacity: int, on_drop: Callable[[Picture], None], max_bytes: int = MAX_BYTES) -> None:
        super().__init__(capacity, on_drop)
        self._max_bytes = max_bytes
        self._asked: deque[Picture] = deque()

    def ask(self, pictures: Iterable[Picture]) -> None:
        """Have these inspected once no board waits."""
        with self._changed:
            self._asked.extend(pictures)
            self._changed.notify()

    def withdraw(self, pictures: Iterable[Picture]) -> None:
        """Whoever asked for them waits no longer."""
        with self._changed:
            for each in set(pictures) & set(self._asked):
                self._asked.remove(each)

    def _next(self) -> deque[Picture]:
        return self._items or self._asked

    def _overflow(self) -> list[Picture]:
        dropped = []
        while len(self._items) > 1 and self._is_over():
            dropped.append(self._items.popleft())
        return dropped

    def _is_over(self) -> bool:
        return len(self._items) > self._capacity or sum(each.size for each in self._items) > self._max_bytes
