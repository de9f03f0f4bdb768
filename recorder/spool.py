"""Arrivals that wait on disk: for the database, and pictures for their store. What is in here outlives the power."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pcb_bus.durable.files import open_file, transaction
from pcb_bus.errors import BoardlineError, ConfigError
from recorder import metrics

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
_STAGE = "ALTER TABLE spool ADD COLUMN stage INTEGER NOT NULL DEFAULT 0"
_INDEX = "CREATE INDEX IF NOT EXISTS spool_stage ON spool (stage)"
_TOTALS = "SELECT stage, kind, count(*), total(length(payload)) FROM spool GROUP BY stage, kind"
_APPEND = "INSERT INTO spool (kind, topic, payload, received_at) VALUES (?, ?, ?, ?)"
_FIELDS = "place, kind, topic, payload, received_at"
_OLDEST = f"SELECT {_FIELDS} FROM spool WHERE stage = ? AND place > ? ORDER BY place LIMIT ?"
_BATCH_BYTES = 8 * 2**20  # of pictures that are held in memory at once
_FREE_PAGES = 4096  # 16 MiB that an outage took, worth giving back to the disk

Kind = Literal["trigger", "verdict", "serial", "actuation", "evidence", "event"]


class SpoolFault(BoardlineError, OSError):
    """The spool takes nothing: it is full, or its disk fails. What was in it before still is."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came, before anybody has read it. `received_at` is ns since the epoch."""

    kind: Kind
    topic: str
    payload: bytes = field(repr=False)
    received_at: int


@dataclass(frozen=True, slots=True)
class Spooled:
    """An arrival in the spool. A younger one has a higher `place`."""

    place: int
    arrival: Arrival


class Spool:
    """One SQLite file in the order of arrival, held by one process; any thread may use it.

    An arrival waits for the database; a picture whose row is written then waits for its store.

    Args:
        rows: how many may wait at most.
        megabytes: of their payloads, at most, MiB.

    Raises:
        ConfigError: the file cannot be used, or another process holds it.
    """

    def __init__(self, path: Path, rows: int, megabytes: int) -> None:
        self._most_rows, self._most_bytes = rows, megabytes * 2**20
        self._lock = threading.Lock()
        self._used_since: float | None = None
        self._staged: dict[str, int] = {}  # places of the pictures that this process had wait for their store
        self._db = open_file(path, _SCHEMA, KEY)
        try:
            if not any(column[1] == "stage" for column in self._db.execute("PRAGMA table_info (spool)")):
                self._db.execute(_STAGE)
            self._db.execute(_INDEX)
            totals = self._db.execute(_TOTALS).fetchall()
        except sqlite3.Error as error:
            raise ConfigError(f"{KEY}: cannot use {path}: {error}") from None
        self._waiting: int = sum(rows for stage, _, rows, _ in totals if stage == 0)
        self._rows: int = sum(rows for *_, rows, _ in totals)
        self._bytes = sum(int(size) for *_, size in totals)
        self._picture_bytes = sum(int(size) for _, kind, _, size in totals if kind == "evidence")
        self._show()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __len__(self) -> int:
        """How many wait for the database."""
        return self._waiting

    @property
    def pictures_waiting(self) -> int:
        """How many pictures wait for their store."""
        return self._rows - self._waiting

    @property
    def fill(self) -> float:
        """Which share of the bounds is taken, 0 to 1."""
        return max(self._rows / self._most_rows, self._bytes / self._most_bytes)

    @property
    def stuck_s(self) -> float:
        """For how long its disk has let somebody wait who is at it now."""
        since = self._used_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def picture_room(self) -> bool:
        """Whether pictures take less than half of the bytes: the rest is kept for verdicts, reports and triggers."""
        return self._picture_bytes < self._most_bytes / 2

    def append(self, arrivals: Sequence[Arrival]) -> None:
        """All of them are on disk when this returns, or none is.

        Raises:
            SpoolFault: there is no room for them, or the disk fails.
        """
        size = sum(len(each.payload) for each in arrivals)
        rows = [(each.kind, each.topic, each.payload, each.received_at) for each in arrivals]
        with self._using() as db:
            if self._rows + len(rows) > self._most_rows or self._bytes + size > self._most_bytes:
                raise SpoolFault("the spool is full")
            with transaction(db):
                db.executemany(_APPEND, rows)
            self._waiting += len(arrivals)
            self._count(arrivals, 1)

    def oldest(self, limit: int) -> list[Spooled]:
        """Up to `limit` that wait for the database, oldest first; fewer where they are large.

        Raises:
            SpoolFault: the disk fails.
        """
        return self._of_stage(0, limit)

    def pictures(self, limit: int, after: int = 0) -> list[Spooled]:
        """The same of the pictures that wait for their store, of those behind the place `after`.

        Raises:
            SpoolFault: the disk fails.
        """
        return self._of_stage(1, limit, after)

    def done(self, spooled: Sequence[Spooled], pictures: Mapping[int, str] | None = None) -> None:
        """These are in the database. Pictures at the places `pictures` now wait for their store; the rest goes.

        `pictures` says of which evidence they are: a copy of what waits already goes too.

        Raises:
            SpoolFault: the disk fails; all is as it was.
        """
        self._take_away(spooled, pictures or {}, len(spooled))

    def remove(self, pictures: Sequence[Spooled]) -> None:
        """These are in the store.

        Raises:
            SpoolFault: the disk fails; they are still here.
        """
        self._take_away(pictures, {}, 0)

    def _take_away(self, spooled: Sequence[Spooled], pictures: Mapping[int, str], written: int) -> None:
        with self._using() as db:
            kept = {place for place, name in pictures.items() if self._staged.setdefault(name, place) == place}
            gone = [each for each in spooled if each.place not in kept]
            places = {each.place for each in gone}
            with transaction(db):
                db.executemany("DELETE FROM spool WHERE place = ?", [(place,) for place in places])
                db.executemany("UPDATE spool SET stage = 1 WHERE place = ?", [(place,) for place in kept])
            if any(each.arrival.kind == "evidence" for each in gone):
                self._staged = {name: place for name, place in self._staged.items() if place not in places}
            self._waiting -= written
            self._count([each.arrival for each in gone], -1)
            with suppress(sqlite3.Error):  # what is gone is gone, whether the disk is given back or not
                if not self._rows and db.execute("PRAGMA freelist_count").fetchone()[0] > _FREE_PAGES:
                    db.execute("VACUUM")  # an empty file takes no time

    def _of_stage(self, stage: int, limit: int, after: int = 0) -> list[Spooled]:
        found: list[Spooled] = []
        size = 0
        with self._using() as db:
            for place, *fields in db.execute(_OLDEST, (stage, after, limit)):
                found.append(Spooled(place, Arrival(*fields)))
                size += len(found[-1].arrival.payload)
                if size >= _BATCH_BYTES:
                    break
        return found

    def _count(self, arrivals: Sequence[Arrival], sign: int) -> None:
        self._rows += sign * len(arrivals)
        self._bytes += sign * sum(len(each.payload) for each in arrivals)
        self._picture_bytes += sign * sum(len(each.payload) for each in arrivals if each.kind == "evidence")
        self._show()

    def _show(self) -> None:
        metrics.SPOOL_ROWS.set(self._rows)
        metrics.SPOOL_BYTES.set(self._bytes)

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._used_since = time.monotonic()
            try:
                yield self._db
            except sqlite3.Error as error:
                raise SpoolFault(f"the spool cannot be used: {error}") from error
            finally:
                self._used_since = None
