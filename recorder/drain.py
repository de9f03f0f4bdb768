"""The thread that writes: what comes straight, and what waits in the spool, oldest first."""

import queue
import random
import threading
from collections.abc import Callable, Sequence

from pcb_bus.contract.messages import Level
from recorder import metrics
from recorder.arrival import Arrival, Delivered
from recorder.committer import Committer, Entry
from recorder.errors import DatabaseDown, SpoolFault
from recorder.health import Health
from recorder.route import Route
from recorder.spool import Spool

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


class Attempt:
    """One batch on its straight way into the database. What is said of it first, holds."""

    def __init__(self, batch: Sequence[Delivered], read: Sequence[Arrival | Entry]) -> None:
        self.batch = batch
        self.read = read
        self._failure: DatabaseDown | None = None
        self._settled = threading.Event()
        self._lock = threading.Lock()

    def settle(self, failure: DatabaseDown | None = None) -> None:
        """It failed; or it is committed, and the broker need not keep it any longer."""
        with self._lock:
            if self._settled.is_set():
                return
            self._failure = failure
            self._settled.set()
        if failure is None:
            for each in self.batch:
                each.ack()

    def wait(self, timeout: float) -> None:
        """Until it is committed.

        Raises:
            DatabaseDown: it failed, or nothing is known after `timeout` seconds: it may be committed yet.
        """
        if not self._settled.wait(timeout):
            self.settle(DatabaseDown(f"no answer within {timeout:g} s"))
        if self._failure is not None:
            raise self._failure


class Writer:
    """Owns the database: one batch after the other, so that two never race for the same rows."""

    def __init__(self, committer: Committer, spool: Spool, route: Route, health: Health, batch_size: int) -> None:
        self._committer = committer
        self._spool = spool
        self._route = route
        self._health = health
        self._batch_size = batch_size
        self._stopping = threading.Event()
        self._work: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="recorder-writer", daemon=True)
        self.room = threading.Event()
        """Set whenever the spool has got smaller."""

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """What waits in the spool waits for the next start."""
        self._stopping.set()
        self._work.put(None)
        self._thread.join(timeout)

    def submit(self, attempt: Attempt) -> None:
        self._work.put(attempt)

    def wake(self) -> None:
        """There is something in the spool."""
        self._work.put(None)

    def _run(self) -> None:
        self._drain()
        while not self._stopping.is_set():
            attempt = self._work.get()
            if attempt is None:
                self._drain()
            else:
                self._try(attempt)

    def _try(self, attempt: Attempt) -> None:
        try:
            records = self._committer.commit(attempt.read)
        except DatabaseDown as failure:
            self._failed(failure)
            attempt.settle(failure)
        else:
            self._health.clear("database")
            attempt.settle()
            self._committer.announce(records)

    def _drain(self) -> None:
        """Until the spool is empty, and the straight way open; or until asked to stop."""
        if not self._patiently(self._committer.prepare):
            return
        while not self._route.open_if_empty():
            if not self._patiently(self._drain_oldest):
                return

    def _drain_oldest(self) -> None:
        spooled = self._spool.oldest(self._batch_size)
        records = self._committer.commit([each.arrival for each in spooled])
        self._spool.remove(spooled)
        self.room.set()
        self._committer.announce(records)

    def _patiently(self, action: Callable[[], None]) -> bool:
        """True once `action` is done; False if asked to stop before."""
        pause = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                action()
            except DatabaseDown as failure:
                self._failed(failure)
            except SpoolFault as fault:
                self._tell("spool file", fault, "critical")
            else:
                self._health.clear("database")
                self._health.clear("spool file")
                return True
            self._stopping.wait(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        return False

    def _failed(self, failure: DatabaseDown) -> None:
        metrics.WRITE_FAILED.inc()
        self._tell("database", failure, "error")

    def _tell(self, part: str, failure: Exception, level: Level) -> None:
        if not self._stopping.is_set():  # what fails because we stop is no news
            self._health.fault(part, str(failure), level)
