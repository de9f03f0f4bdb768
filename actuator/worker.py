"""One thread that does one thing after the other: whatever it owns needs no locks."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from pcb_bus.errors import BoardlineError

Task = Callable[[], None]
T = TypeVar("T")


class Worker:
    """Runs tasks in the order in which they were given.

    Args:
        name: of the thread.
        on_idle: runs whenever nothing waits; returns in how many seconds to run again.
    """

    def __init__(self, name: str, on_idle: Callable[[], float]) -> None:
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._on_idle = on_idle
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def backlog(self) -> int:
        return self._tasks.qsize()

    def start(self) -> None:
        self._thread.start()

    def do(self, task: Task) -> None:
        """Never blocks, so that any thread may call it."""
        self._tasks.put(task)

    def flush(self, timeout: float) -> bool:
        """Wait until everything given so far is done; False after `timeout` seconds."""
        done = threading.Event()
        self.do(done.set)
        return done.wait(timeout)

    def call(self, task: Callable[[], T], timeout: float) -> T:
        """What `task` returns, once all that was given before is done.

        Raises:
            TimeoutError: not within `timeout` seconds; it is done later all the same.
            BoardlineError: `task` raised it.
        """
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(task())
            except BoardlineError as error:
                answer.set_exception(error)

        self.do(run)
        return answer.result(timeout)

    def stop(self, timeout: float = 1.0) -> None:
        """Finish what was given, then end."""
        self._tasks.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            patience = self._on_idle() if self._tasks.empty() else None
            try:
                task = self._tasks.get(timeout=patience)
            except queue.Empty:
                continue
            if task is None:
                return
            task()
