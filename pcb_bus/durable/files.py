"""SQLite files that one process holds, and in which what is committed outlives the power.

What a line writes is for its own user alone, whatever the umask: files 0600, folders 0700.
"""

import errno
import logging
import os
import pwd
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pcb_bus.contract.times import now_ns
from pcb_bus.errors import ConfigError

log = logging.getLogger(__name__)

Tell = Callable[[str], None]

OURS = Path("var")
_FILE, _FOLDER = 0o600, 0o700
_BESIDE = ("-wal", "-shm", "-journal")
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
        make_private(path)
        try:
            return _open(path, schema, durable)
        except sqlite3.Error as error:
            if _code(error) not in _DAMAGED:
                raise
            tell(f"{key}: {path} is damaged ({error}); it is kept as {_set_aside(path)}, and a new one begun")
            make_private(path)
            return _open(path, schema, durable)
    except OSError as error:
        raise ConfigError(f"{key}: cannot use {path}: {why_denied(error, path)}") from None
    except sqlite3.Error as error:
        raise ConfigError(f"{key}: cannot use {path}: {_LIKELY.get(_code(error), error)}") from None


def make_folder(folder: Path) -> None:
    """With the folders above it that are missing. One below `var` that others may read is closed to them.

    Elsewhere a folder that is there stays as it is: others may have their own files in it.

    Raises:
        OSError
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        with suppress(FileExistsError):
            each.mkdir(mode=_FOLDER)
    place, var = folder.resolve(), OURS.resolve()
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if place.is_relative_to(var):
        for each in (place, *place.parents[: len(place.parts) - len(var.parts)]):
            narrow(each)


def make_private(path: Path) -> None:
    """The file, of SQLite perhaps, for this user alone before anything is in it; its folder is made.

    Raises:
        OSError
    """
    make_folder(path.parent)
    try:
        os.close(private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        # Not opened to see: to close it again would take from this process the locks that it holds on it.
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None
    for each in (path, *(path.with_name(path.name + suffix) for suffix in _BESIDE)):
        narrow(each)


def private(path: str | Path, flags: int) -> int:
    """Opens a file as `os.open` does; a new one is for this user alone. For `open(…, opener=private)`."""
    return os.open(path, flags | os.O_CLOEXEC, _FILE)


def narrow(path: Path) -> None:
    """Close to others what is this user's; what is another's stays as it is."""
    with suppress(FileNotFoundError):
        state = path.lstat()
        ours = state.st_uid == os.geteuid() and (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode))
        if ours and state.st_mode & 0o077:
            path.chmod(state.st_mode & 0o700)


def why_denied(error: OSError, path: Path) -> str:
    """What the refusal means, and the way out: most often another user, root perhaps, started this first."""
    for each in (path, *path.parents) if error.errno in {errno.EACCES, errno.EPERM} else ():
        with suppress(OSError):
            owner = each.stat().st_uid
            if owner == os.geteuid():
                break
            return (
                f"{each} belongs to the user {_name(owner)}: run as {_name(owner)}, or have it given to this user: "
                f"sudo chown -R {_name(os.geteuid())} {each}"
            )
    return error.strerror or str(error)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside
