"""SQLite files that one process holds, and in which what is committed outlives the power."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pcb_bus.contract.times import now_ns
from pcb_bus.errors import ConfigError

log = logging.getLogger(__name__)

_PRAGMAS = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = {};"


def open_file(path: Path, schema: str, key: str, *, durable: bool = True) -> sqlite3.Connection:
    """The file with the tables of `schema`; its folder is made. A damaged one is set aside, loudly, for a new one.

    Args:
        key: the setting that names the file.
        durable: each commit is on the disk before it counts; tests of the logic alone may leave it to the system.

    Raises:
        ConfigError: the file cannot be used, or another process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _open(path, schema, durable)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
                raise
            aside = _set_aside(path)
            log.critical("%s: %s is damaged (%s); it is kept as %s, and a new one begun", key, path, error, aside)
            return _open(path, schema, durable)
    except sqlite3.OperationalError as error:
        held = "another process holds it" if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY else error
        raise ConfigError(f"{key}: cannot use {path}: {held}") from None
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{key}: cannot use {path}: {error}") from None


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of it is committed, or nothing; also where the commit itself fails."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk rolls back by itself
            db.execute("ROLLBACK")
        raise


def _open(path: Path, schema: str, durable: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        db.executescript(_PRAGMAS.format("FULL" if durable else "OFF") + schema)
        (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            damage = sqlite3.DatabaseError(sound)
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(path: Path) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{now_ns()}")
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
