"""What this station has decided, on disk: a verdict's id is written down before its pin goes high.

A row is `firing` from then until its outcome is known, and holds its report until the recorder has named it: the ledger
is the actuator's outbox, too. While firing, the report already is the one that a crash would make true: `late`.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pcb_bus.clock import NS_PER_S
from pcb_bus.codec import encode_json
from pcb_bus.errors import ConfigError, OutboxFault
from pcb_bus.messages import Actuation
from pcb_bus.outbox import Kept

_SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = {synchronous};
CREATE TABLE IF NOT EXISTS verdicts (
    verdict_id TEXT PRIMARY KEY,
    seen_at INTEGER NOT NULL,
    firing INTEGER NOT NULL,
    report BLOB
);
CREATE INDEX IF NOT EXISTS verdicts_by_age ON verdicts (seen_at);
DROP INDEX IF EXISTS verdicts_unreported;
CREATE INDEX IF NOT EXISTS verdicts_waiting ON verdicts (firing) WHERE report IS NOT NULL;
CREATE TABLE IF NOT EXISTS arming (one INTEGER PRIMARY KEY CHECK (one = 1), armed INTEGER NOT NULL);
"""
_SETTLE_FIRING = "UPDATE verdicts SET firing = 0, report = ? WHERE verdict_id = ? AND firing"
_SETTLE = "INSERT INTO verdicts (verdict_id, seen_at, firing, report) VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING"
_CLEAR = "UPDATE verdicts SET report = NULL WHERE verdict_id = ? AND report IS NOT NULL AND firing = 0"
_COUNT = "SELECT count(*) FROM verdicts WHERE report IS NOT NULL"
_WAITING = """
SELECT rowid, verdict_id, report FROM verdicts
WHERE report IS NOT NULL AND firing = 0 AND rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?
"""
_NEWEST = "SELECT coalesce(max(rowid), 0) FROM verdicts"
_RECOVER = """
UPDATE verdicts SET firing = 0 WHERE firing = 1 AND report IS NOT NULL AND rowid <= ?
RETURNING rowid, verdict_id, report
"""
_STANDS = "SELECT rowid, verdict_id, report FROM verdicts WHERE verdict_id = ? AND report IS NOT NULL AND firing = 0"
_PRUNE = """
DELETE FROM verdicts WHERE report IS NULL AND (
    seen_at < :oldest OR seen_at <= (SELECT seen_at FROM verdicts ORDER BY seen_at DESC LIMIT 1 OFFSET :rows)
)
"""
_PRUNE_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Memory:
    """How much is remembered: reported verdicts for `age_s`; of them, and of reports that wait, `rows` at most."""

    age_s: int = 7 * 86_400
    rows: int = 100_000


class Ledger:
    """One SQLite file, held by one process; used by one thread at a time.

    What cannot be read or written is an OutboxFault, after which the file is as it was before.

    Args:
        path: the file; its folder is made.
        memory: how much is remembered.
        durable: each write is on the disk before it counts; for tests of the logic alone it may be left to the system.

    Raises:
        ConfigError: the file cannot be used, or another actuator holds it.
    """

    def __init__(self, path: Path, memory: Memory | None = None, *, durable: bool = True) -> None:
        self._memory = memory or Memory()
        self._written = 0
        self._full = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._db.executescript(_SCHEMA.format(synchronous="FULL" if durable else "OFF"))
            self._waiting: int = self._db.execute(_COUNT).fetchone()[0]
            self._inherited: int = self._db.execute(_NEWEST).fetchone()[0]
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"actuator.ledger: cannot use {path}: {error}") from None

    def close(self) -> None:
        self._db.close()

    def __len__(self) -> int:
        """How many reports the recorder has not named yet."""
        return self._waiting

    @property
    def fill(self) -> float:
        """Which share of the room for them is taken, 0 to 1 and a little."""
        return self._waiting / self._memory.rows

    @property
    def full(self) -> bool:
        """Whether the latest report found no room."""
        return self._full

    def knows(self, verdict_id: str) -> bool:
        with self._using() as db:
            return db.execute("SELECT 1 FROM verdicts WHERE verdict_id = ?", (verdict_id,)).fetchone() is not None

    def begin(self, if_crashed: Actuation, now: int) -> None:
        """On disk when this returns: the verdict is about to fire; after a crash `if_crashed` is its report.

        Raises:
            ValueError: the verdict is known already.
        """
        row = (if_crashed.verdict_id, now, encode_json(if_crashed))
        with self._using() as db:
            try:
                db.execute("INSERT INTO verdicts (verdict_id, seen_at, firing, report) VALUES (?, ?, 1, ?)", row)
            except sqlite3.IntegrityError:
                raise ValueError(f"known already: {if_crashed.verdict_id}") from None
        self._waiting += 1

    def settle(self, reports: Iterable[Actuation], now: int) -> int:
        """Write outcomes down, together. The first outcome of a verdict stands.

        With too many reports waiting, only the ids are written down: a verdict is never fired twice, but its report
        will not go out again. Returns how many reports that befell.
        """
        with self._transaction():
            kept = [self._settle(report.verdict_id, encode_json(report), now) for report in reports]
        self._written += len(kept)
        refused = kept.count(False)
        self._full = refused > 0
        return refused

    def clear(self, verdict_ids: Iterable[str]) -> None:
        """The recorder has their reports: they need not go out again."""
        with self._transaction() as db:
            self._waiting -= db.executemany(_CLEAR, [(each,) for each in verdict_ids]).rowcount

    def newest(self) -> int:
        """The place of the verdict that was written down last."""
        with self._using() as db:
            place: int = db.execute(_NEWEST).fetchone()[0]
            return place

    def waiting(self, after: int, until: int, limit: int) -> list[Kept]:
        """Reports with a place in (after, until] that the recorder has not named, oldest first."""
        with self._using() as db:
            return [Kept(*row) for row in db.execute(_WAITING, (after, until, limit))]

    def standing(self, verdict_id: str) -> Kept | None:
        """The report of a verdict whose outcome is known, unless the recorder has named it."""
        with self._using() as db:
            row = db.execute(_STANDS, (verdict_id,)).fetchone()
        return None if row is None else Kept(*row)

    def recover(self) -> list[Kept]:
        """Reports of verdicts that a crash of an earlier process caught while firing: gates may have stayed silent."""
        with self._using() as db:
            return [Kept(*row) for row in db.execute(_RECOVER, (self._inherited,)).fetchall()]

    def prune(self, now: int) -> None:
        """Forget what is old or too much, now and then. A report that waits is never given up for a newer one."""
        if self._written >= _PRUNE_EVERY:
            self._written = 0
            with self._using() as db:
                db.execute(_PRUNE, {"oldest": now - self._memory.age_s * NS_PER_S, "rows": self._memory.rows})

    def armed(self) -> bool:
        """Whether the last command left the gates armed; a restart must not arm them behind a person's back."""
        with self._using() as db:
            row = db.execute("SELECT armed FROM arming").fetchone()
        return row is None or bool(row[0])

    def remember_armed(self, armed: bool) -> None:
        with self._using() as db:
            db.execute("INSERT OR REPLACE INTO arming (one, armed) VALUES (1, ?)", (armed,))

    def probe(self) -> None:
        """Write something that says nothing: whether there is room."""
        with self._using() as db:
            db.execute("PRAGMA user_version = 1")

    def _settle(self, verdict_id: str, report: bytes, now: int) -> bool:
        """Whether the report is kept."""
        room = self._memory.rows - self._waiting
        if self._db.execute(_SETTLE_FIRING, (report if room >= 0 else None, verdict_id)).rowcount:
            self._waiting -= room < 0
            return room >= 0
        if self._db.execute(_SETTLE, (verdict_id, now, report if room > 0 else None)).rowcount:
            self._waiting += room > 0
            return room > 0
        return True

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        waiting = self._waiting
        with self._using() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                self._waiting = waiting
                if db.in_transaction:  # a full disk mostly has ended it already
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
        except sqlite3.Error as error:
            raise OutboxFault(f"the ledger cannot be used: {error}") from error
