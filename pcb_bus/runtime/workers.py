"""The one way to run a thread: it does what waits for it, in the order of arrival, and what is due by the clock."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from pcb_bus.runtime import metrics
from pcb_bus.runtime.queues import Inbox

log = logging.getLogger(__name__)

T = TypeVar("T")
Action = Callable[[], None]


class Turn:
    """How long a thread has been at one thing. Its owner works `with turn:` and waits outside; anybody may ask."""

    def __init__(self) -> None:
        self._since: float | None = None

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._since = None

    def busy_s(self) -> float:
        """0 while it waits."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since


class Worker(threading.Thread):
    """Does one thing after the other, so that what it alone uses needs no locks.

    An exception that nobody expected is logged and counted, and told to `on_fault`; the worker lives on.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str, on_fault: Callable[[str, Exception], None] = lambda name, error: None) -> None:
        super().__init__(name=name, daemon=True)
        self._on_fault = on_fault
        self._actions: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._periodic: dict[Action, tuple[float, float]] = {}  # seconds between two runs, and when the next is due
        self.turn = Turn()
        self._given_last = True

    def stop(self, timeout: float = 0.0) -> None:
        """Finish what waits, then end; returns after `timeout` seconds at the latest."""
        self._actions.put(None)
        if self.is_alive():
            self.join(timeout)

    def do(self, action: Action) -> None:
        """Soon, after what was given before. Never blocks, so that any thread may call it."""
        self._actions.put(action)

    def every(self, seconds: float, action: Action) -> None:
        """From the start on, `seconds` after the end of the last run. Before `start`, or on this worker."""
        self._periodic[action] = seconds, 0.0

    def lane(self, capacity: int, handle: Callable[[T], None], on_drop: Callable[[T], None]) -> Callable[[T], None]:
        """What hands items to `handle` here. It never blocks: when full, the oldest gives way to the newest."""
        waiting: Inbox[T] = Inbox(capacity, on_drop)

        def handle_next() -> None:
            item = waiting.take(timeout=0)
            if item is not None:
                handle(item)

        def put(item: T) -> None:
            if waiting.put(item):
                self.do(handle_next)

        return put

    def run(self) -> None:
        """What the thread does, until `stop`."""
        while (action := self._next()) is not None:
            with self.turn:
                self._do(action)
            if action in self._periodic:
                seconds, _ = self._periodic[action]
                self._periodic[action] = seconds, time.monotonic() + seconds

    def _do(self, action: Action) -> None:
        try:
            action()
        except Exception as error:
            metrics.HANDLER_ERRORS.labels(self.name).inc()
            log.exception("fault in %s", self.name)
            self._on_fault(self.name, error)

    def _next(self) -> Action | None:
        """The periodic action that is due, or what was given, by turns where both wait; None: asked to end."""
        action = min(self._periodic, key=lambda each: self._periodic[each][1], default=None)
        wait = None if action is None else max(0.0, self._periodic[action][1] - time.monotonic())
        if wait == 0 and (self._given_last or self._actions.empty()):
            self._given_last = False
            return action
        try:
            self._given_last = True
            return self._actions.get(timeout=wait)
        except queue.Empty:
            return action
