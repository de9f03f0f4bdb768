"""The thread that takes arrivals in: gathers batches, and acknowledges each once it is safe."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from recorder import faults
from recorder.arrival import Arrival, Delivered
from recorder.committer import Committer
from recorder.drain import Attempt, Writer
from recorder.errors import DatabaseDown, SpoolFault
from recorder.route import Route
from recorder.spool import Spool

_PATIENCE_S = 3.0  # with a database that accepts connections and says nothing
_ROOM_S = 1.0  # between two looks at a spool that takes nothing
_ROOMY = 0.9  # a spool that is this full is told of once, however it wavers


@dataclass(frozen=True, slots=True)
class Batching:
    """How many arrivals are taken together at most, and how long the first of them waits for others."""

    size: int
    wait_s: float


class Intake:
    """Acknowledges what is committed, or on disk in the spool; what is neither, the broker keeps.

    Args:
        on_idle: called after a batch when no more than another one waits.
    """

    def __init__(
        self,
        service: Service,
        inbox: Inbox[Delivered],
        spool: Spool,
        route: Route,
        committer: Committer,
        writer: Writer,
        batching: Batching,
        on_idle: Callable[[], None],
    ) -> None:
        self._service = service
        self._inbox = inbox
        self._spool = spool
        self._route = route
        self._committer = committer
        self._writer = writer
        self._batching = batching
        self._on_idle = on_idle
        self._under_way: Attempt | None = None
        self._give_up_at = 0.0
        self._hurried = threading.Event()

    def stop(self) -> None:
        """Take the rest of the inbox in, and end."""
        self._inbox.close()

    def hurry(self) -> None:
        """All that is not in the database yet goes into the spool; what that does not take, the broker keeps."""
        self._hurried.set()
        self._writer.room.set()
        under_way = self._under_way
        if under_way is not None:
            under_way.settle(DatabaseDown("asked to stop"))

    @property
    def idle(self) -> bool:
        """Whether no more than a batch waits."""
        return len(self._inbox) <= self._batching.size

    def run(self) -> None:
        """What its thread does, until `stop`."""
        while batch := self._gather():
            if not self._bring_on(batch):
                return
            self._look_around()
        self._finish()

    def _gather(self) -> list[Delivered]:
        """Up to a whole batch, `wait_s` after the first; none once the inbox is closed and empty."""
        size = self._batching.size
        while not (batch := self._inbox.take_many(size, self._patience_s())) and not self._inbox.closed:
            self._finish()
        end = time.monotonic() + self._batching.wait_s
        while len(batch) < size and not self._inbox.closed and (left := end - time.monotonic()) > 0:
            batch += self._inbox.take_many(size - len(batch), left)
        return batch

    def _bring_on(self, batch: Sequence[Delivered]) -> bool:
        """Behind the one before it, whichever way that went; False if asked to stop while there is none."""
        read = self._committer.read_ahead([each.arrival for each in batch]) if self._route.direct else []
        if not self._finish():
            return False
        if read and self._route.direct and not self._hurried.is_set():
            self._submit(Attempt(batch, read))
            return True
        return self._keep(batch)

    def _submit(self, attempt: Attempt) -> None:
        self._under_way = attempt
        self._give_up_at = time.monotonic() + _PATIENCE_S
        self._writer.submit(attempt)

    def _patience_s(self) -> float | None:
        """What is left of it for the batch that is under way; None if none is."""
        return None if self._under_way is None else max(0.0, self._give_up_at - time.monotonic())

    def _finish(self) -> bool:
        """True once the batch that is under way is safe; False if asked to stop while that is not possible."""
        while (attempt := self._under_way) is not None:
            if not (self._committed(attempt) or self._keep(attempt.batch)):
                return False
        return True

    def _committed(self, attempt: Attempt) -> bool:
        try:
            attempt.wait(self._patience_s() or 0)
        except DatabaseDown as failure:
            if not self._hurried.is_set():
                faults.show(self._service, "database", str(failure))
            return False
        finally:
            self._under_way = None
        return True

    def _keep(self, batch: Sequence[Delivered]) -> bool:
        """True once it is on disk, in the spool; False if asked to stop before there is room."""
        arrivals = [each.arrival for each in batch]
        while not self._spooled(arrivals):
            if self._hurried.is_set():
                return False
            self._writer.room.wait(_ROOM_S)
            self._writer.room.clear()
            # Nothing waits any more: the database is back, or there was never room for so much.
            if self._route.direct and not self._hurried.is_set():
                self._submit(Attempt(batch, arrivals))
                return True
        for each in batch:
            each.ack()
        return True

    def _spooled(self, arrivals: Sequence[Arrival]) -> bool:
        try:
            was_open = self._route.divert(arrivals)
        except SpoolFault as fault:
            faults.show(self._service, "spool", str(fault), "critical")
            return False
        if was_open:
            self._writer.wake()
        return True

    def _look_around(self) -> None:
        if self._spool.fill < _ROOMY:
            faults.show(self._service, "spool", "")
        if self.idle:
            self._on_idle()
