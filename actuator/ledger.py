"""What this station has decided, on disk: a verdict's id is written down before its pin goes high.

A row is `firing` from then until its outcome is known, and holds its report until somebody has it for sure.
While firing, the report already is the one that a crash would make true: `late`.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pcb_bus.clock import NS_PER_S
from pcb_bus.codec import encode_json
from pcb_bus.errors import ConfigError
from pcb_bus.messages import Actuation

_SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS verdicts (
    verdict_id TEXT PRIMARY KEY,
    seen_at INTEGER NOT NULL,
    firing INTEGER NOT NULL,
    report BLOB
);
CREATE INDEX IF NOT EXISTS verdicts_by_age ON verdicts (seen_at);
CREATE INDEX IF NOT EXISTS verdicts_unreported ON verdicts (seen_at) WHERE report IS NOT NULL;
CREATE TABLE IF NOT EXISTS arming (one INTEGER PRIMARY KEY CHECK (one = 1), armed INTEGER NOT NULL);
"""
_SETTLE = """
INSERT INTO verdicts (verdict_id, seen_at, firing, report) VALUES (?, ?, 0, ?)
ON CONFLICT (verdict_id) DO UPDATE SET firing = 0, report = excluded.report WHERE firing
"""
_REPORTED = "UPDATE verdicts SET report = NULL WHERE verdict_id = ? AND NOT firing"
_UNREPORTED = """
SELECT verdict_id, report FROM verdicts WHERE report IS NOT NULL AND NOT firing ORDER BY seen_at LIMIT ?
"""
_PRUNE = """
DELETE FROM verdicts WHERE NOT firing AND (
    (report IS NULL AND seen_at < :oldest)
    OR seen_at <= (SELECT seen_at FROM verdicts ORDER BY seen_at DESC LIMIT 1 OFFSET :rows)
) RETURNING report IS NOT NULL
"""
_PRUNE_EVERY = 1000


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report as it goes out, and whose it is."""

    verdict_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Memory:
    """How much is remembered: reported verdicts for `age_s`, and never more than `rows` in all."""

    age_s: int = 7 * 86_400
    rows: int = 100_000


class Ledger:
    """One SQLite file, held by one process; used by one thread at a time.

    Raises:
        ConfigError: the file cannot be used, or another actuator holds it.
    """

    def __init__(self, path: Path, memory: Memory | None = None) -> None:
        self._memory = memory or Memory()
        self._written = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"actuator.ledger: cannot use {path}: {error}") from None

    def close(self) -> None:
        self._db.close()

    def knows(self, verdict_id: str) -> bool:
        return self._db.execute("SELECT 1 FROM verdicts WHERE verdict_id = ?", (verdict_id,)).fetchone() is not None

    def begin(self, if_crashed: Actuation, now: int) -> None:
        """On disk when this returns: the verdict is about to fire; after a crash `if_crashed` is its report.

        Raises:
            sqlite3.IntegrityError: the verdict is known already.
        """
        row = (if_crashed.verdict_id, now, encode_json(if_crashed))
        self._db.execute("INSERT INTO verdicts (verdict_id, seen_at, firing, report) VALUES (?, ?, 1, ?)", row)

    def settle(self, reports: Iterable[Actuation], now: int) -> None:
        """Write outcomes down, together. The first outcome of a verdict stands."""
        rows = [(report.verdict_id, now, encode_json(report)) for report in reports]
        with self._transaction():
            self._db.executemany(_SETTLE, rows)
        self._written += len(rows)

    def reported(self, verdict_ids: Iterable[str]) -> None:
        """Their reports need not go out again."""
        with self._transaction():
            self._db.executemany(_REPORTED, [(each,) for each in verdict_ids])

    def unreported(self, limit: int) -> list[StoredReport]:
        """Reports that may not have arrived, oldest first."""
        return [StoredReport(*row) for row in self._db.execute(_UNREPORTED, (limit,))]

    def recover(self) -> list[str]:
        """After a start: the verdicts that a crash caught while firing. Their gates may have stayed silent."""
        rows = self._db.execute("UPDATE verdicts SET firing = 0 WHERE firing RETURNING verdict_id").fetchall()
        return [verdict_id for (verdict_id,) in rows]

    def prune(self, now: int) -> int:
        """Forget what is old or too much, now and then; returns how many reports were lost by it that nobody has."""
        if self._written < _PRUNE_EVERY:
            return 0
        self._written = 0
        bounds = {"oldest": now - self._memory.age_s * NS_PER_S, "rows": self._memory.rows}
        return sum(lost for (lost,) in self._db.execute(_PRUNE, bounds).fetchall())

    def armed(self) -> bool:
        """Whether the last command left the gates armed; a restart must not arm them behind a person's back."""
        row = self._db.execute("SELECT armed FROM arming").fetchone()
        return row is None or bool(row[0])

    def remember_armed(self, armed: bool) -> None:
        self._db.execute("INSERT OR REPLACE INTO arming (one, armed) VALUES (1, ?)", (armed,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
