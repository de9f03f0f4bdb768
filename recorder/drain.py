"""The thread that writes: what waits in the spool goes into the database, oldest first."""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcb_bus.contract.codec import encode_json
from pcb_bus.errors import ConfigError, MessageRejected
from pcb_bus.runtime.backoff import Backoff
from pcb_bus.runtime.service import Service
from recorder import faults, metrics
from recorder.rows import Record, recorded_messages, rejected_record
from recorder.spool import Arrival, Spool, Spooled, SpoolFault
from recorder.store import Store
from records.errors import DatabaseDown, RowRefused
from records.tables import DefectImage

log = logging.getLogger(__name__)

_PAUSE_S = 0.1, 5.0
_LOOK_S = 0.5
_LATELY_S = 2.0  # a step that takes longer waits for a database that says nothing


@dataclass(frozen=True, slots=True)
class Steps:
    """What the drain is given to do.

    `prepare` brings the tables up to date, `read` gives the rows of an arrival, `probe` raises DatabaseDown if the
    database takes no row at all. `between` is called now and then while nothing waits, `wake_pictures` when pictures
    wait for their store.
    """

    prepare: Callable[[], None]
    read: Callable[[Arrival], Record]
    probe: Callable[[], None]
    between: Callable[[], None]
    wake_pictures: Callable[[], None]


class Drain:
    """The only one that writes boards of its line, so that two never race for the same rows.

    A row that the database refuses is found by halving, and quarantined once a probe shows that the database lives, and
    that its table takes other rows.
    """

    def __init__(self, service: Service, spool: Spool, store: Store, steps: Steps, batch_size: int) -> None:
        self._service, self._spool, self._store, self._steps = service, spool, store, steps
        self._batch_size = batch_size
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._prepared = False
        self._worked_at = self._looked_at = -math.inf

    @property
    def caught_up(self) -> bool:
        """Whether what arrived is in the database, but for what arrived just now."""
        return time.monotonic() - self._worked_at < _LATELY_S and len(self._spool) < self._batch_size

    def wake(self) -> None:
        """There is something in the spool."""
        self._woken.set()

    def stop(self) -> None:
        """End soon: what waits in the spool waits for the next start."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """What its thread does, until `stop`."""
        backoff = Backoff(*_PAUSE_S)
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                more = self.step()
            except (DatabaseDown, RowRefused, SpoolFault) as failure:
                self._failed(failure)
                self._stopping.wait(backoff.next_s())
                continue
            backoff.reset()
            for part in ("database", "spool file"):
                faults.show(self._service, part, "")
            if not more:
                self._woken.wait(_LOOK_S)

    def step(self) -> bool:
        """Write one batch. Whether more wait.

        Raises:
            DatabaseDown: not all of it could be written; what was may be written again.
            SpoolFault: the disk of the spool fails.
        """
        self._prepare()
        spooled = self._spool.oldest(self._batch_size)
        if spooled:
            written = self._write([(each, self._read(each.arrival)) for each in spooled])
            self._finish(spooled, written)
        self._worked_at = time.monotonic()
        if self.caught_up and time.monotonic() - self._looked_at >= _LOOK_S:
            self._steps.between()
            self._looked_at = time.monotonic()
        return len(self._spool) > 0

    def _prepare(self) -> None:
        if self._prepared:
            return
        try:
            self._steps.prepare()
        except ConfigError as error:
            raise DatabaseDown(str(error)) from error  # it worked once: somebody changes the server just now
        self._prepared = True

    def _read(self, arrival: Arrival) -> Record:
        try:
            return self._steps.read(arrival)
        except MessageRejected as rejection:
            return self._rejected(arrival, rejection.with_traceback(None))  # which would hold the whole batch
        except Exception as error:  # a message that nobody thought of must not stop those behind it
            log.exception("cannot read a message of %s", arrival.topic)
            return self._rejected(arrival, MessageRejected("unreadable", f"{type(error).__name__}: {error}"))

    def _rejected(self, arrival: Arrival, rejection: MessageRejected) -> Record:
        return rejected_record(arrival, rejection, self._service.topics.root)

    def _write(self, entries: list[tuple[Spooled, Record]]) -> list[tuple[Spooled, Record]]:
        """What is committed of them."""
        try:
            with metrics.COMMIT_SECONDS.time():
                self._store.write([record for _, record in entries])
        except RowRefused as error:
            if len(entries) == 1:
                return self._quarantine(*entries[0], error)
            half = len(entries) // 2
            return self._write(entries[:half]) + self._write(entries[half:])
        metrics.BATCH_MESSAGES.observe(len(entries))
        metrics.COMMITTED.inc(len(entries))
        return entries

    def _quarantine(self, spooled: Spooled, record: Record, error: RowRefused) -> list[tuple[Spooled, Record]]:
        self._steps.probe()
        rejection = MessageRejected("refused_by_database", str(error))
        if record.rejection is not None:  # not even that it was rejected can be written down
            self._service.session.reject(spooled.arrival.kind, rejection)
            return []
        self._store.check_table(record)
        return self._write([(spooled, self._rejected(spooled.arrival, rejection))])

    def _finish(self, spooled: Sequence[Spooled], written: Sequence[tuple[Spooled, Record]]) -> None:
        """Out of the spool, but for pictures that wait for their store; then their senders hear of it."""
        pictures = [(each.place, record) for each, record in written if record.table is DefectImage]
        pending = self._store.pending({record.rows[0]["verdict_id"] for _, record in pictures})
        waiting = {place: record.named[1] for place, record in pictures if record.named and record.named[1] in pending}
        self._spool.done(spooled, waiting)
        if waiting:
            self._steps.wake_pictures()
        named = [record.named for each, record in written if record.named and each.place not in waiting]
        for message in recorded_messages(named):
            self._service.session.publish(self._service.topics.recorded, encode_json(message))
        for each, record in written:
            if record.rejection is not None:
                self._service.session.reject(each.arrival.kind, record.rejection)

    def _failed(self, failure: Exception) -> None:
        self._worked_at, self._prepared = -math.inf, False  # perhaps somebody changed the tables
        if self._stopping.is_set():
            return  # what fails because we stop is no news
        if isinstance(failure, SpoolFault):
            faults.show(self._service, "spool file", str(failure), "critical")
        else:
            metrics.WRITE_FAILED.inc()
            faults.show(self._service, "database", str(failure))
