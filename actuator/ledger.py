"""What this station is about to do, on disk before a pin changes: a crash never fires a verdict twice.

A verdict is `firing` from before its pin goes high until its outcome is in the outbox, then `done`. That is remembered
for as long as a verdict can be fresh; the outbox remembers for longer.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcb_bus.contract.times import NS_PER_S
from pcb_bus.durable.files import Tell, log, open_file
from pcb_bus.errors import ConfigError, OutboxFault

_SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    verdict_id TEXT PRIMARY KEY, state TEXT NOT NULL, seen_at INTEGER NOT NULL, report BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arming (one INTEGER PRIMARY KEY CHECK (one = 1), armed INTEGER NOT NULL);
"""
_NEW = "INSERT OR IGNORE INTO arming VALUES (1, 1);"
_OLDER = "SELECT 1 FROM sqlite_schema WHERE name = 'decided'"
_TAKE_OVER = f"""
BEGIN;
{_NEW}
INSERT OR IGNORE INTO verdicts SELECT verdict_id, 'firing', seen_at, report FROM decided WHERE report IS NOT NULL;
DROP TABLE decided;
COMMIT;
"""
_FINISH = "UPDATE verdicts SET state = ?, report = ? WHERE verdict_id = ? AND state = 'firing'"
_MEMORY_NS = 30 * 60 * NS_PER_S  # longer than the settings let a verdict be fresh


class Ledger:
    """One SQLite file, held by one process; used by one thread at a time.

    Args:
        path: the file; its folder is made.
        durable: each write is on the disk before it counts; for tests of the logic alone it may be left to the system.
        tell: told of a damaged file, which is set aside for a new one: the station is disarmed.

    Raises:
        ConfigError: the file cannot be used, or another actuator holds it.
    """

    def __init__(self, path: Path, *, durable: bool = True, tell: Tell = log.critical) -> None:
        schema = _SCHEMA if os.access(path, os.F_OK) else _SCHEMA + _NEW  # where one may not look, it does not open
        self._db = open_file(path, schema, "actuator.ledger", durable=durable, tell=tell)
        try:
            if self._db.execute(_OLDER).fetchone():  # of a version before the outbox: its reports are said as they are
                self._db.executescript(_TAKE_OVER)
        except sqlite3.Error as error:
            raise ConfigError(f"actuator.ledger: {path} of an earlier version cannot be taken over: {error}") from None

    def close(self) -> None:
        self._db.close()

    def begin(self, verdict_id: str, if_crashed: bytes, now: int) -> None:
        """On disk when this returns: the verdict is about to fire; after a crash `if_crashed` is its report.

        Raises:
            OutboxFault: it is not, and nothing may fire.
        """
        with self._using() as db:
            db.execute("INSERT INTO verdicts VALUES (?, 'firing', ?, ?)", (verdict_id, now, if_crashed))

    def finish(self, verdict_id: str, report: bytes, *, kept: bool = True) -> None:
        """The outcome of a verdict is known, if it ever began; unless it is kept, it is reported after a crash."""
        with self._using() as db:
            db.execute(_FINISH, ("done" if kept else "firing", report, verdict_id))

    def report_of(self, verdict_id: str) -> bytes | None:
        """The report of a verdict that began; the one after a crash while it fires. None: it never did, or long ago."""
        with self._using() as db:
            row = db.execute("SELECT report FROM verdicts WHERE verdict_id = ?", (verdict_id,)).fetchone()
        return None if row is None else row[0]

    def firing(self) -> dict[str, bytes]:
        """What has no outcome yet: verdict ids, and the reports for the case of a crash."""
        with self._using() as db:
            return dict(db.execute("SELECT verdict_id, report FROM verdicts WHERE state = 'firing'"))

    def forget_old(self, now: int) -> None:
        """Whatever is done and too old to be fresh any more."""
        with self._using() as db:
            db.execute("DELETE FROM verdicts WHERE state = 'done' AND seen_at < ?", (now - _MEMORY_NS,))

    def armed(self) -> bool:
        """Whether the last command left the gates armed; a restart must not arm them behind a person's back.

        A new station is armed; one whose ledger was damaged, and set aside, is not.
        """
        with self._using() as db:
            row = db.execute("SELECT armed FROM arming").fetchone()
        return row is not None and bool(row[0])

    def probe(self) -> None:
        """Write something that says nothing: whether that can be done.

        Raises:
            OutboxFault: it cannot.
        """
        with self._using() as db:
            db.execute("PRAGMA user_version = 1")

    def remember_armed(self, armed: bool) -> None:
        with self._using() as db:
            db.execute("INSERT OR REPLACE INTO arming (one, armed) VALUES (1, ?)", (armed,))

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """Whatever fails is an OutboxFault, after which the file is as it was before."""
        try:
            yield self._db
        except (OSError, sqlite3.Error) as error:
            raise OutboxFault(f"the ledger cannot be used: {error}") from error
