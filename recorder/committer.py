"""Commits arrivals together; one that cannot be a row of its own kind harms no other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pcb_bus.contract.codec import encode_json
from pcb_bus.errors import ConfigError, MessageRejected
from pcb_bus.runtime.service import Service
from recorder import faults, metrics
from recorder.arrival import Arrival
from recorder.batch import Record, group, recorded_messages
from recorder.errors import DatabaseDown, RowRefused
from recorder.reading import Reader
from recorder.rejection import rejected_record
from recorder.store import Store


@dataclass(frozen=True, slots=True)
class Entry:
    """An arrival, what is written of it, and why it is not a row of its own kind."""

    arrival: Arrival
    record: Record
    rejection: MessageRejected | None = None


class Committer:
    """Between arrivals and rows. One thread commits; another may read ahead.

    Args:
        prepare: brings the tables up to date, before the first commit; raises DatabaseDown or ConfigError as long as
            it cannot.
    """

    def __init__(self, service: Service, reader: Reader, store: Store, prepare: Callable[[], None]) -> None:
        self._service = service
        self._reader = reader
        self._store = store
        self._prepare = prepare
        self._prepared = False

    def prepare(self) -> None:
        """Have the tables that this version writes to.

        Raises:
            DatabaseDown: not now.
        """
        if self._prepared:
            return
        try:
            self._prepare()
        except ConfigError as error:
            raise DatabaseDown(str(error)) from error  # it worked once: somebody changes the server just now
        self._prepared = True

    def read_ahead(self, arrivals: Sequence[Arrival]) -> list[Arrival | Entry]:
        """Decoded, while another thread waits for the database; but for pictures: their disk may stand still."""
        return [arrival if arrival.kind == "evidence" else self._read(arrival) or arrival for arrival in arrivals]

    def commit(self, arrivals: Sequence[Arrival | Entry]) -> list[Record]:
        """What is in the database when this returns.

        Raises:
            DatabaseDown: not all of it could be written; what was may be written again.
        """
        read = (each if isinstance(each, Entry) else self._read(each) for each in arrivals)
        entries = self._write([entry for entry in read if entry is not None])
        for entry in entries:
            if entry.rejection is not None:
                self._service.session.reject(entry.arrival.kind, entry.rejection)
        metrics.COMMITTED.inc(len(entries))
        return [entry.record for entry in entries]

    def announce(self, records: Sequence[Record]) -> None:
        """Tell the senders that these are in the database."""
        for message in recorded_messages(records):
            self._service.session.publish(self._service.topics.recorded, encode_json(message))

    def _read(self, arrival: Arrival) -> Entry | None:
        """None for a picture that the disk does not take."""
        try:
            record = self._reader.read(arrival)
        except MessageRejected as rejection:
            return self._rejected(arrival, rejection)
        except OSError as error:
            metrics.IMAGES_LOST.inc()
            faults.show(self._service, "images", str(error))
            return None
        if arrival.kind == "evidence":
            faults.show(self._service, "images", "")
        return Entry(arrival, record)

    def _rejected(self, arrival: Arrival, rejection: MessageRejected) -> Entry:
        return Entry(arrival, rejected_record(arrival, rejection, self._service.topics.root), rejection)

    def _write(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that are committed. A row that the database refuses is found by halving."""
        if not entries:
            return []
        try:
            with metrics.COMMIT_SECONDS.time():
                self._store.write(group(entry.record for entry in entries))
        except RowRefused as error:
            if len(entries) == 1:
                return self._write_refused(entries[0], error)
            half = len(entries) // 2
            return [*self._write(entries[:half]), *self._write(entries[half:])]
        metrics.BATCH_MESSAGES.observe(len(entries))
        return list(entries)

    def _write_refused(self, entry: Entry, error: RowRefused) -> list[Entry]:
        rejection = MessageRejected("refused_by_database", str(error))
        if entry.rejection is None:
            return self._write([self._rejected(entry.arrival, rejection)])
        self._service.session.reject(entry.arrival.kind, rejection)  # not even that it was rejected can be written down
        return []
