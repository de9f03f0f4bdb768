"""SQLite files that one process holds, and in which what is committed outlives the power."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pcb_bus.contract.times import now_ns
from pcb_bus.errors import ConfigError

log = logging.getLogger(__name__)

Tell = Callable[[str], None]

_PRAGMAS = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = {};"
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_LIKELY = {
    sqlite3.SQLITE_BUSY: "another process holds it",
    sqlite3.SQLITE_CANTOPEN: "a folder stands there, or this user may not write there",
    sqlite3.SQLITE_READONLY: "this user may not write there",
}


def open_file(
    path: Path, schema: str, key: str, *, durable: bool = True, tell: Tell = log.critical
) -> sqlite3.Connection:
    """The file with the tables of `schema`; its folder is made. A damaged one is set aside, loudly, for a new one.

    Args:
        key: the setting that names the file.
        durable: each commit is on the disk before it counts; tests of the logic alone may leave it to the system.
        tell: told of a damaged file.

    Raises:
        ConfigError: the file cannot be used, or another process holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _open(path, schema, durable)
        except sqlite3.Error as error:
            if _code(error) not in _DAMAGED:
                raise
            tell(f"{key}: {path} is damaged ({error}); it is kept as {_set_aside(path)}, and a new one begun")
            return _open(path, schema, durable)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{key}: cannot use {path}: {_LIKELY.get(_code(error), error)}") from None


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


class _Damage(sqlite3.DatabaseError):
    """What a look at every page found."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _code(error: Exception) -> int:
    """SQLite's own; 0 of other errors."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _open(path: Path, schema: str, durable: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        db.executescript(_PRAGMAS.format("FULL" if durable else "OFF") + schema)
        (sound,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise _Damage(sound)
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
