"""The thread that takes arrivals in: gathers batches, and acknowledges each once it is safe."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcb_bus.inbox import Inbox
from recorder.arrival import Arrival, Delivered
from recorder.drain import Attempt, Writer
from recorder.errors import DatabaseDown, SpoolFault
from recorder.health import Health
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
        inbox: Inbox[Delivered],
        spool: Spool,
        route: Route,
        writer: Writer,
        health: Health,
        batching: Batching,
        on_idle: Callable[[], None],
    ) -> None:
        self._inbox = inbox
        self._spool = spool
        self._route = route
        self._writer = writer
        self._health = health
        self._batching = batching
        self._on_idle = on_idle
        self._under_way: Attempt | None = None
        self._hurried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder-intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, commit_s: float, spool_s: float) -> None:
        """Take the rest of the inbox in: for `commit_s` as ever, then into the spool for `spool_s`."""
        self._inbox.close()
        self._thread.join(commit_s)
        self._hurried.set()
        self._writer.room.set()
        under_way = self._under_way
        if under_way is not None:
            under_way.settle(DatabaseDown("asked to stop"))
        self._thread.join(spool_s)

    @property
    def idle(self) -> bool:
        """Whether no more than a batch waits."""
        return len(self._inbox) <= self._batching.size

    def _run(self) -> None:
        while batch := self._gather():
            if not self._secure([each.arrival for each in batch]):
                return
            for each in batch:
                each.ack()
            self._look_around()

    def _look_around(self) -> None:
        if self._spool.fill < _ROOMY:
            self._health.clear("spool")
        if self.idle:
            self._on_idle()

    def _gather(self) -> list[Delivered]:
        """Up to a whole batch, `wait_s` after the first; none once the inbox is closed and empty."""
        size = self._batching.size
        batch = self._inbox.take_many(size)
        end = time.monotonic() + self._batching.wait_s
        while len(batch) < size and not self._inbox.closed and (left := end - time.monotonic()) > 0:
            batch += self._inbox.take_many(size - len(batch), left)
        return batch

    def _secure(self, arrivals: Sequence[Arrival]) -> bool:
        """True once they are committed or on disk; False if asked to stop while neither is possible."""
        while not (self._committed(arrivals) or self._spooled(arrivals)):
            if self._hurried.is_set():
                return False
            self._writer.room.wait(_ROOM_S)
            self._writer.room.clear()
        return True

    def _committed(self, arrivals: Sequence[Arrival]) -> bool:
        if not self._route.direct or self._hurried.is_set():
            return False
        self._under_way = self._writer.submit(arrivals)
        try:
            self._under_way.wait(_PATIENCE_S)
        except DatabaseDown as failure:
            if not self._hurried.is_set():
                self._health.fault("database", str(failure))
            return False
        finally:
            self._under_way = None
        return True

    def _spooled(self, arrivals: Sequence[Arrival]) -> bool:
        try:
            was_open = self._route.divert(arrivals)
        except SpoolFault as fault:
            self._health.fault("spool", str(fault), "critical")
            return False
        if was_open:
            self._writer.wake()
        return True
