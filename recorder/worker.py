"""Takes what arrived in batches, commits them, and only then acknowledges."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pcb_bus.codec import encode_json
from pcb_bus.errors import ConfigError, MessageRejected
from pcb_bus.inbox import Inbox
from pcb_bus.node import Node
from pcb_bus.session import Delivery
from recorder import metrics
from recorder.batch import Record, group, recorded_messages
from recorder.errors import DatabaseDown, RowRefused
from recorder.health import Health
from recorder.reading import Kind, Reader
from recorder.settings import RecorderSettings
from recorder.store import Store

log = logging.getLogger(__name__)

T = TypeVar("T")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery, and what it should be."""

    kind: Kind
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Entry:
    """An arrival that could be read."""

    arrival: Arrival
    record: Record


class Worker:
    """One thread between the inbox and the database.

    Args:
        prepare: brings the tables up to date; raises DatabaseDown or ConfigError as long as it cannot.
    """

    def __init__(
        self,
        node: Node,
        inbox: Inbox[Arrival],
        reader: Reader,
        store: Store,
        prepare: Callable[[], None],
        settings: RecorderSettings,
    ) -> None:
        self._node = node
        self._inbox = inbox
        self._reader = reader
        self._store = store
        self._prepare = prepare
        self._settings = settings
        self._health = Health(node)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 4.0) -> None:
        """Commit what is in the inbox, unless the database is down: then the broker delivers it again later."""
        self._stopping.set()
        self._inbox.close()
        self._thread.join(timeout)

    def _run(self) -> None:
        self._patiently(self._prepare)
        recording = True
        while recording and (arrivals := self._gather()):
            recording = self._record(arrivals)

    def _gather(self) -> list[Arrival]:
        """Up to `batch_size` arrivals, `batch_ms` after the first; none once the inbox is closed and empty."""
        size = self._settings.batch_size
        arrivals = self._inbox.take_many(size)
        end = time.monotonic() + self._settings.batch_ms / 1000
        while len(arrivals) < size and not self._inbox.closed and (left := end - time.monotonic()) > 0:
            arrivals += self._inbox.take_many(size - len(arrivals), left)
        return arrivals

    def _record(self, arrivals: Sequence[Arrival]) -> bool:
        """False if asked to stop while the database was down: nothing of it is acknowledged."""
        entries = [entry for entry in map(self._read, arrivals) if entry is not None]
        committed = self._patiently(lambda: self._commit(entries)) if entries else []
        if committed is None:
            return False
        for entry in entries:
            entry.arrival.delivery.ack()
        for message in recorded_messages([entry.record for entry in committed]):
            self._node.session.publish(self._node.topics.recorded, encode_json(message))
        return True

    def _read(self, arrival: Arrival) -> Entry | None:
        """None for what cannot become a row: it is counted, logged and acknowledged, or it would come for ever."""
        try:
            entry = Entry(arrival, self._reader.read(arrival.kind, arrival.delivery))
        except MessageRejected as rejection:
            self._node.reject(arrival.kind, rejection)
        except OSError as error:
            metrics.IMAGES_LOST.inc()
            self._health.fault("images", str(error))
        else:
            if arrival.kind == "evidence":
                self._health.clear("images")
            return entry
        arrival.delivery.ack()
        return None

    def _patiently(self, action: Callable[[], T]) -> T | None:
        """What `action` returns, once the database lets it; None if asked to stop before."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                result = action()
            except (DatabaseDown, ConfigError) as error:
                metrics.WRITE_FAILED.inc()
                self._health.fault("database", str(error))
            else:
                self._health.clear("database")
                return result
            if self._stopping.wait(pause):
                return None
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _commit(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that are committed. A row that the database refuses is found by halving, and harms no other."""
        try:
            with metrics.COMMIT_SECONDS.time():
                self._store.write(group(entry.record for entry in entries))
        except RowRefused as error:
            if len(entries) > 1:
                half = len(entries) // 2
                return [*self._commit(entries[:half]), *self._commit(entries[half:])]
            self._node.reject(entries[0].arrival.kind, MessageRejected("refused_by_database", str(error)))
            return []
        metrics.BATCH_MESSAGES.observe(len(entries))
        metrics.COMMITTED.inc(len(entries))
        return list(entries)
