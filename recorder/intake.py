"""The thread that takes arrivals in: gathers batches, and acknowledges each once it is in the spool."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pcb_bus.runtime.metrics import DROPPED
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.service import Service
from recorder import faults
from recorder.spool import Arrival, Spool, SpoolFault

_ROOM_S = 1.0  # between two looks at a spool that takes nothing
_LOOK_S = 1.0
_ROOMY = 0.9  # a spool that is this full is told of once, however it wavers
_NO_ROOM = "dropped a picture: half of the spool is pictures that wait for their store; inference repeats what matters"


@dataclass(frozen=True, slots=True)
class Delivered:
    """An arrival that the broker keeps until `ack` is called."""

    arrival: Arrival
    ack: Callable[[], None] = field(repr=False)


class Intake:
    """Acknowledges what is on disk in the spool; what is not, the broker keeps.

    Args:
        batch_size: how many arrivals are taken together at most.
        wait_s: how long the first of them waits for others.
        on_taken: called after a batch, and every second without one.
    """

    def __init__(
        self,
        service: Service,
        inbox: Inbox[Delivered],
        spool: Spool,
        batch_size: int,
        wait_s: float,
        on_taken: Callable[[], None],
    ) -> None:
        self._service, self._inbox, self._spool = service, inbox, spool
        self._batch_size, self._wait_s, self._on_taken = batch_size, wait_s, on_taken
        self._hurried = threading.Event()

    def stop(self) -> None:
        """Take the rest of the inbox in, and end."""
        self._inbox.close()

    def hurry(self) -> None:
        """What the spool does not take now, the broker keeps."""
        self._hurried.set()

    def run(self) -> None:
        """What its thread does, until `stop`."""
        while (batch := self._gather()) or not self._inbox.closed:
            if not self._keep(batch):
                return
            if self._spool.fill < _ROOMY:
                faults.show(self._service, "spool", "")
            self._on_taken()

    def _gather(self) -> list[Delivered]:
        """Up to a whole batch, `wait_s` after the first; none after a second, or once the inbox is closed and empty."""
        batch = self._inbox.take_many(self._batch_size, _LOOK_S)
        end = time.monotonic() + self._wait_s
        while 0 < len(batch) < self._batch_size and not self._inbox.closed and (left := end - time.monotonic()) > 0:
            batch += self._inbox.take_many(self._batch_size - len(batch), left)
        return batch

    def _keep(self, batch: list[Delivered]) -> bool:
        """True once all of it is on disk; False if asked to stop before there is room."""
        size = len(batch)
        while batch := self._without_excess(batch):
            part, rest = batch[:size], batch[size:]
            try:
                self._spool.append([each.arrival for each in part])
            except SpoolFault as fault:
                if size > 1:
                    size = (size + 1) // 2  # some of it may fit
                else:
                    faults.show(self._service, "spool", str(fault), "critical")
                    if self._hurried.wait(_ROOM_S):
                        return False
                continue
            for each in part:
                each.ack()
            batch = rest
        return True

    def _without_excess(self, batch: list[Delivered]) -> list[Delivered]:
        """Pictures never take the room of verdicts: inference sends those that matter again."""
        if self._spool.picture_room:
            return batch
        kept = []
        for each in batch:
            if each.arrival.kind != "evidence":
                kept.append(each)
                continue
            each.ack()
            DROPPED.labels("evidence", "spool_full").inc()
            self._service.session.complain("spool_full", _NO_ROOM)
        return kept
