"""What this station has decided, on disk: a verdict's id is written down before its pin goes high.

That is done by an intent, which already holds the report that a crash would make true: `late`. The row follows once the
outcome is known, and holds its report until the recorder has named it: the ledger is the actuator's outbox, too.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from actuator.intents import Intent, Intents
from actuator.sieve import Sieve
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Actuation
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.durable.outbox import Kept
from pcb_bus.errors import ConfigError, OutboxFault

_SCHEMA = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = {synchronous};
CREATE TABLE IF NOT EXISTS decided (
    place INTEGER PRIMARY KEY,
    verdict_id TEXT NOT NULL UNIQUE,
    seen_at INTEGER NOT NULL,
    report BLOB
);
CREATE INDEX IF NOT EXISTS decided_by_age ON decided (seen_at);
CREATE INDEX IF NOT EXISTS decided_waiting ON decided (place) WHERE report IS NOT NULL;
CREATE TABLE IF NOT EXISTS arming (one INTEGER PRIMARY KEY CHECK (one = 1), armed INTEGER NOT NULL);
"""
# What was firing when an older version ended holds the report that stands for it.
_TAKE_OVER = """
BEGIN IMMEDIATE;
INSERT OR IGNORE INTO decided (verdict_id, seen_at, report) SELECT verdict_id, seen_at, report FROM verdicts
ORDER BY rowid;
DROP TABLE verdicts;
COMMIT;
"""
_OLDER = "SELECT 1 FROM sqlite_schema WHERE name = 'verdicts'"
_SETTLE = "INSERT INTO decided (verdict_id, seen_at, report) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
_CLEAR = "UPDATE decided SET report = NULL WHERE verdict_id = ? AND report IS NOT NULL"
_COUNT = "SELECT count(*) FROM decided WHERE report IS NOT NULL"
_WAITING = """
SELECT place, verdict_id, report FROM decided
WHERE report IS NOT NULL AND place > ? AND place <= ? ORDER BY place LIMIT ?
"""
_NEWEST = "SELECT coalesce(max(place), 0) FROM decided"
_STANDS = "SELECT place, verdict_id, report FROM decided WHERE verdict_id = ? AND report IS NOT NULL"
_PRUNE = """
DELETE FROM decided WHERE report IS NULL AND (
    seen_at < :oldest OR seen_at <= (SELECT seen_at FROM decided ORDER BY seen_at DESC LIMIT 1 OFFSET :rows)
)
RETURNING verdict_id
"""
_PRUNE_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Memory:
    """How much is remembered: reported verdicts for `age_s`; of them, and of reports that wait, `rows` at most."""

    age_s: int = 7 * 86_400
    rows: int = 100_000


class Ledger:
    """One SQLite file and the intents beside it, held by one process; used by one thread at a time.

    What cannot be read or written is an OutboxFault, after which the file is as it was before.

    Args:
        path: the file; its folder is made. The intents are in `<path>.intents`.
        memory: how much is remembered.
        durable: each write is on the disk before it counts; for tests of the logic alone it may be left to the system.

    Raises:
        ConfigError: the file cannot be used, or another actuator holds it.
    """

    def __init__(self, path: Path, memory: Memory | None = None, *, durable: bool = True) -> None:
        self._memory = memory or Memory()
        self._written = 0
        self._full = False
        self._sieve = Sieve(self._memory.rows)
        self._begun: dict[str, Intent | None] = {}  # an intent where an earlier process began
        self._amended: set[str] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = _open(path, durable=durable)
            self._waiting: int = self._db.execute(_COUNT).fetchone()[0]
            for (verdict_id,) in self._db.execute("SELECT verdict_id FROM decided"):
                self._sieve.add(verdict_id)
            self._intents = Intents(path.with_name(f"{path.name}.intents"), durable=durable)
            self._look_at_intents()
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"actuator.ledger: cannot use {path}: {error}") from None

    def close(self) -> None:
        self._db.close()
        self._intents.close()

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
        return verdict_id in self._begun or self._has(verdict_id)

    def begin(self, if_crashed: Actuation, now: int) -> None:
        """On disk when this returns: the verdict is about to fire; after a crash `if_crashed` is its report.

        Raises:
            ValueError: the verdict is known already.
        """
        verdict_id = if_crashed.verdict_id
        if self.knows(verdict_id):
            raise ValueError(f"known already: {verdict_id}")
        with self._using():
            self._intents.write(Intent(verdict_id, now, encode_json(if_crashed)))
        self._begun[verdict_id] = None
        self._waiting += 1

    def settle(self, reports: Iterable[Actuation], now: int) -> int:
        """Write outcomes down, together. The first outcome of a verdict stands.

        With too many reports waiting, only the ids are written down: a verdict is never fired twice, but its report
        will not go out again. Returns how many reports that befell.
        """
        outcomes = [Intent(report.verdict_id, now, encode_json(report)) for report in reports]
        try:
            refused = self._settle_all(outcomes)
        except OutboxFault:
            self._amend_intents(outcomes)
            raise
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

    def recover(self) -> list[Intent]:
        """What a crash of an earlier process caught while firing, now reported so: gates may have stayed silent."""
        left = [intent for intent in self._begun.values() if intent is not None]
        self._settle_all(left)
        return left

    def prune(self, now: int) -> None:
        """Forget what is old or too much, now and then. A report that waits is never given up for a newer one."""
        if self._written < _PRUNE_EVERY:
            return
        self._written = 0
        with self._using() as db:
            self._intents.erase()
            limits = {"oldest": now - self._memory.age_s * NS_PER_S, "rows": self._memory.rows}
            for (verdict_id,) in db.execute(_PRUNE, limits).fetchall():
                self._sieve.discard(verdict_id)

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

    def _look_at_intents(self) -> None:
        """Of what an earlier process began, keep in mind what has no outcome."""
        for intent in self._intents.found:
            if self._has(intent.verdict_id):
                self._intents.forget(intent.verdict_id)
            else:
                self._begun[intent.verdict_id] = intent
        self._waiting += len(self._begun)

    def _has(self, verdict_id: str) -> bool:
        """Whether its outcome is known."""
        if verdict_id not in self._sieve:
            return False
        with self._using() as db:
            return db.execute("SELECT 1 FROM decided WHERE verdict_id = ?", (verdict_id,)).fetchone() is not None

    def _settle_all(self, outcomes: Sequence[Intent]) -> int:
        """How many reports found no room."""
        if not outcomes:
            return 0
        with self._transaction():
            kept = [self._settle(outcome) for outcome in outcomes]
        for outcome in outcomes:
            self._begun.pop(outcome.verdict_id, None)
            self._amended.discard(outcome.verdict_id)
            self._intents.forget(outcome.verdict_id)
        self._written += len(kept)
        return kept.count(False)

    def _amend_intents(self, outcomes: Iterable[Intent]) -> None:
        """The rows cannot be written: let a crash find what really became of the verdicts, where an intent tells."""
        for outcome in outcomes:
            if self._begun.get(outcome.verdict_id, outcome) is None and outcome.verdict_id not in self._amended:
                with suppress(OSError):
                    self._intents.amend(outcome)
                    self._amended.add(outcome.verdict_id)

    def _settle(self, outcome: Intent) -> bool:
        """Whether the report is kept."""
        begun = outcome.verdict_id in self._begun  # it has its room already
        has_room = self._memory.rows - self._waiting + begun > 0
        row = outcome.verdict_id, outcome.seen_at, outcome.report if has_room else None
        if not self._db.execute(_SETTLE, row).rowcount:
            return True
        self._sieve.add(outcome.verdict_id)
        self._waiting += has_room - begun
        return has_room

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
        except (OSError, sqlite3.Error) as error:
            raise OutboxFault(f"the ledger cannot be used: {error}") from error


def _open(path: Path, *, durable: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    db.executescript(_SCHEMA.format(synchronous="FULL" if durable else "OFF"))
    if db.execute(_OLDER).fetchone() is not None:
        db.executescript(_TAKE_OVER)
    return db
