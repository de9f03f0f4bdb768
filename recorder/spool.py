"""Arrivals that wait for the database, on disk: what is in here outlives the process and the power."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pcb_bus.durable.files import open_file, transaction
from recorder import metrics
from recorder.arrival import Arrival
from recorder.errors import SpoolFault

KEY = "recorder.spool.path"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS spool (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    received_at INTEGER NOT NULL
);
"""
_APPEND = "INSERT INTO spool (kind, topic, payload, received_at) VALUES (?, ?, ?, ?)"
_OLDEST = "SELECT place, kind, topic, payload, received_at FROM spool ORDER BY place LIMIT ?"
_BATCH_BYTES = 8 * 2**20  # of pictures that are held in memory at once


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much waits at most: arrivals, and bytes of their payloads."""

    rows: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Spooled:
    """One arrival. A younger one has a higher `place`."""

    place: int
    arrival: Arrival


class Spool:
    """One SQLite file in the order of arrival, held by one process; any thread may use it.

    Raises:
        ConfigError: the file cannot be used, or another process holds it.
    """

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._bounds = bounds
        self._lock = threading.Lock()
        self._fault: str | None = None
        self._db = open_file(path, _SCHEMA, KEY)
        totals = self._db.execute("SELECT count(*), total(length(payload)) FROM spool")
        self._rows, self._bytes = map(int, totals.fetchone())
        self._show()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __len__(self) -> int:
        return self._rows

    @property
    def fill(self) -> float:
        """Which share of the bounds is taken, 0 to 1."""
        return max(self._rows / self._bounds.rows, self._bytes / self._bounds.payload_bytes)

    @property
    def fault(self) -> str | None:
        """Why the latest arrivals were not taken; None when they were."""
        return self._fault

    def append(self, arrivals: Sequence[Arrival]) -> None:
        """All of them are on disk when this returns, or none is.

        Raises:
            SpoolFault: there is no room for them, or the disk fails.
        """
        try:
            self._append(arrivals)
        except SpoolFault as fault:
            self._fault = str(fault)
            raise
        self._fault = None

    def oldest(self, limit: int) -> list[Spooled]:
        """Up to `limit` arrivals, oldest first; fewer where they are large.

        Raises:
            SpoolFault: the disk fails.
        """
        found: list[Spooled] = []
        size = 0
        with self._using() as db:
            for place, *fields in db.execute(_OLDEST, (limit,)):
                found.append(Spooled(place, Arrival(*fields)))
                size += len(found[-1].arrival.payload)
                if size >= _BATCH_BYTES:
                    break
        return found

    def remove(self, spooled: Sequence[Spooled]) -> None:
        """They are in the database.

        Raises:
            SpoolFault: the disk fails; they are still here.
        """
        with self._using() as db:
            with transaction(db):
                db.executemany("DELETE FROM spool WHERE place = ?", [(each.place,) for each in spooled])
            self._count(-len(spooled), -sum(len(each.arrival.payload) for each in spooled))
            if not self._rows:
                db.execute("VACUUM")  # gives the disk back what an outage took; an empty file takes no time

    def _append(self, arrivals: Sequence[Arrival]) -> None:
        size = sum(len(each.payload) for each in arrivals)
        rows = [(each.kind, each.topic, each.payload, each.received_at) for each in arrivals]
        with self._using() as db:
            if self._rows + len(rows) > self._bounds.rows or self._bytes + size > self._bounds.payload_bytes:
                raise SpoolFault("the spool is full")
            with transaction(db):
                db.executemany(_APPEND, rows)
            self._count(len(rows), size)

    def _count(self, rows: int, size: int) -> None:
        self._rows += rows
        self._bytes += size
        self._show()

    def _show(self) -> None:
        metrics.SPOOL_ROWS.set(self._rows)
        metrics.SPOOL_BYTES.set(self._bytes)

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise SpoolFault(f"the spool cannot be used: {error}") from error
