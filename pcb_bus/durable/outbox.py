"""Messages that the recorder has not named yet, on disk: what is kept here outlives the process and the power.

A broker's acknowledgement proves nothing. So a message is written down before it is published, and cleared only once
`pcb/recorded` names it. What is kept is never given up for something newer: an outbox that is full takes no more.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pcb_bus.durable.files import Tell, log, open_file, transaction
from pcb_bus.errors import OutboxFault

_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cleared (place INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
"""
_KNOWN = "SELECT EXISTS (SELECT 1 FROM waiting WHERE id = :id) OR EXISTS (SELECT 1 FROM cleared WHERE id = :id)"
_KEEP = "INSERT INTO waiting (place, id, payload) VALUES (?, ?, ?)"
_WAITING = "SELECT place, id, payload FROM waiting WHERE place > ? AND place <= ? ORDER BY place LIMIT ?"
_LATER = "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0;"
_LONGEST_LOG = 8 * 2**20
_FORGET = "DELETE FROM cleared WHERE place <= (SELECT max(place) FROM cleared) - ?"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept at most: messages, bytes of their payloads; and how many cleared ids are remembered."""

    rows: int = 100_000
    payload_bytes: int = 256 * 2**20
    remembered: int = 20_000  # as many triggers as the broker may hold for a session


@dataclass(frozen=True, slots=True)
class Kept:
    """One message. A younger one has a higher `place`."""

    place: int
    identity: str
    payload: bytes


class Outbox:
    """One SQLite file, held by one process; any thread may use it.

    Args:
        path: the file; its folder is made.
        bounds: how much is kept.
        key: the setting that names the file.
        tell: told of a damaged file, which is set aside for a new one.
        prompt: `keep` waits for the disk. Else what is kept outlives the process at once, and the power after `sync`.

    Attributes:
        newest: the place of the youngest message so far.
        fault: why the latest message could not be kept; None when it was.

    Raises:
        ConfigError: the file cannot be used, or another process holds it.
    """

    def __init__(
        self,
        path: Path,
        bounds: Bounds | None = None,
        key: str = "outbox",
        tell: Tell = log.critical,
        *,
        prompt: bool = True,
    ) -> None:
        self._bounds = bounds or Bounds()
        self._lock = threading.Lock()
        self.fault: str | None = None
        self._db = open_file(path, _SCHEMA, key, tell=tell)
        self._log = path.with_name(f"{path.name}-wal")
        self._bytes_in_log = 0
        if not prompt:
            self._db.executescript(_LATER)
        totals = self._db.execute("SELECT count(*), total(length(payload)), coalesce(max(place), 0) FROM waiting")
        self._rows, self._bytes, self.newest = map(int, totals.fetchone())
        self._inherited = self.newest

    def close(self) -> None:
        if self._lock.acquire(timeout=0.5):  # whoever holds it for longer hangs with its disk
            self._db.close()

    def __len__(self) -> int:
        return self._rows

    @property
    def fill(self) -> float:
        """Which share of the bounds is taken, 0 to 1."""
        return max(self._rows / self._bounds.rows, self._bytes / self._bounds.payload_bytes)

    def keep(self, identity: str, payload: bytes) -> None:
        """On disk when this returns.

        Raises:
            OutboxFault: the outbox is full, or the disk failed.
            ValueError: it is kept already.
        """
        try:
            with self._using() as db:
                if self._rows >= self._bounds.rows or self._bytes + len(payload) > self._bounds.payload_bytes:
                    raise OutboxFault("the outbox is full")
                db.execute(_KEEP, (self.newest + 1, identity, payload))
                self.newest += 1
                self._rows += 1
                self._bytes += len(payload)
                self._bytes_in_log += len(payload)
        except OutboxFault as fault:
            if isinstance(fault.__cause__, sqlite3.IntegrityError):
                raise ValueError(f"kept already: {identity}") from None
            self.fault = str(fault)
            raise
        self.fault = None

    def sync(self) -> None:
        """What was kept outlives the power too when this returns; if not, `fault` says why."""
        try:
            with suppress(FileNotFoundError), self._log.open("r+b") as log_file:
                os.fsync(log_file.fileno())  # without the lock, for whoever keeps something must not wait
            if self._bytes_in_log >= _LONGEST_LOG:  # seldom: what is kept next waits for the disk
                with self._using() as db:
                    db.execute("PRAGMA wal_checkpoint")
                    self._bytes_in_log = 0
        except OSError as fault:
            self.fault = str(fault)

    def clear(self, identities: Iterable[str]) -> None:
        """They are recorded: forget the messages, remember the ids for a while.

        Raises:
            OutboxFault: the disk failed; what is not cleared is still kept.
        """
        with self._using() as db:
            with transaction(db):
                gone = [each for identity in identities for each in _take(db, identity)]
                db.execute(_FORGET, (self._bounds.remembered,))
            self._rows -= len(gone)
            self._bytes -= sum(gone)

    def knows(self, identity: str) -> bool:
        """Whether it is kept, or was cleared not too long ago.

        Raises:
            OutboxFault: the disk failed.
        """
        with self._using() as db:
            return bool(db.execute(_KNOWN, {"id": identity}).fetchone()[0])

    def inherited(self, identity: str) -> bytes | None:
        """Its payload, if an earlier process left it here: nobody knows whether that one published it.

        Raises:
            OutboxFault: the disk failed.
        """
        query = "SELECT payload FROM waiting WHERE id = ? AND place <= ?"
        with self._using() as db:
            row = db.execute(query, (identity, self._inherited)).fetchone()
        return None if row is None else row[0]

    def waiting(self, after: int, until: int, limit: int) -> list[Kept]:
        """Messages with a place in (after, until], oldest first.

        Raises:
            OutboxFault: the disk failed.
        """
        with self._using() as db:
            return [Kept(*row) for row in db.execute(_WAITING, (after, until, limit))]

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise OutboxFault(f"the outbox cannot be used: {error}") from error


def _take(db: sqlite3.Connection, identity: str) -> list[int]:
    """Move an id from the waiting to the cleared; the bytes that its payload had."""
    gone = [size for (size,) in db.execute("DELETE FROM waiting WHERE id = ? RETURNING length(payload)", (identity,))]
    if gone:
        db.execute("INSERT OR IGNORE INTO cleared (id) VALUES (?)", (identity,))
    return gone
