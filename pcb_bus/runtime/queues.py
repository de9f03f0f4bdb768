"""A bounded queue between two threads."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """First in, first out; when full, the oldest gives way to the newest and `on_drop` hears of it.

    `put` never blocks, so that the network thread may call it.
    """

    def __init__(self, capacity: int, on_drop: Callable[[T], None] | None = None) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._on_drop = on_drop
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: T) -> bool:
        """Whether more wait now; False: others gave way."""
        with self._changed:
            self._items.append(item)
            dropped = self._overflow()
            self._changed.notify()
        for each in dropped if self._on_drop else ():
            self._on_drop(each)  # type: ignore[misc]
        return not dropped

    def take(self, timeout: float | None = None) -> T | None:
        """The oldest item; None after `timeout` seconds without one, or once closed and empty."""
        return next(iter(self.take_many(1, timeout)), None)

    def take_many(self, limit: int, timeout: float | None = None) -> list[T]:
        """Whatever waits, up to `limit`, oldest first; waits for the first one as `take` does."""
        with self._changed:
            self._changed.wait_for(lambda: self._next() or self._closed, timeout)
            waiting = self._next()
            return [waiting.popleft() for _ in range(min(limit, len(waiting)))]

    def close(self) -> None:
        """Wake every waiting `take`; what is inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def __len__(self) -> int:
        return len(self._items)

    def _next(self) -> deque[T]:
        """Of which the next are taken; with the lock held."""
        return self._items

    def _overflow(self) -> list[T]:
        """Take out what has no room; with the lock held."""
        return [self._items.popleft()] if len(self._items) > self._capacity else []
