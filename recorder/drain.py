"""The thread that writes: what comes straight, and what waits in the spool, oldest first."""

import queue
import threading
from collections.abc import Callable, Sequence

from pcb_bus.contract.messages import Level
from pcb_bus.runtime.backoff import Backoff
from pcb_bus.runtime.service import Service
from recorder import faults, metrics
from recorder.arrival import Arrival, Delivered
from recorder.committer import Committer, Entry
from recorder.errors import DatabaseDown, SpoolFault
from recorder.route import Route
from recorder.spool import Spool

_PAUSE_S = 0.1, 5.0


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

    def __init__(self, service: Service, committer: Committer, spool: Spool, route: Route, batch_size: int) -> None:
        self._service = service
        self._committer = committer
        self._spool = spool
        self._route = route
        self._batch_size = batch_size
        self._stopping = threading.Event()
        self._work: queue.SimpleQueue[Attempt | None] = queue.SimpleQueue()
        self.room = threading.Event()
        """Set whenever the spool has got smaller."""

    def stop(self) -> None:
        """End soon: what waits in the spool waits for the next start."""
        self._stopping.set()
        self._work.put(None)

    def submit(self, attempt: Attempt) -> None:
        self._work.put(attempt)

    def wake(self) -> None:
        """There is something in the spool."""
        self._work.put(None)

    def run(self) -> None:
        """What its thread does, until `stop`."""
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
            faults.show(self._service, "database", "")
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
        backoff = Backoff(*_PAUSE_S)
        while not self._stopping.is_set():
            try:
                action()
            except DatabaseDown as failure:
                self._failed(failure)
            except SpoolFault as fault:
                self._tell("spool file", fault, "critical")
            else:
                faults.show(self._service, "database", "")
                faults.show(self._service, "spool file", "")
                return True
            self._stopping.wait(backoff.next_s())
        return False

    def _failed(self, failure: DatabaseDown) -> None:
        metrics.WRITE_FAILED.inc()
        self._tell("database", failure, "error")

    def _tell(self, part: str, failure: Exception, level: Level) -> None:
        if not self._stopping.is_set():  # what fails because we stop is no news
            faults.show(self._service, part, str(failure), level)
