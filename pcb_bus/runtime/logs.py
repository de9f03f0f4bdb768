"""Logging: one line an event, to the console and to a rotating file."""

import glob
import logging
import logging.handlers
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

from pcb_bus.durable.files import make_folder, narrow, private, why_denied
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import redact

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
_TIME = "%Y-%m-%dT%H:%M:%S"
_MOST_WAITING = 5000
_PATIENCE_S = 0.5  # with each target, at exit
_MOST_KINDS, _TEXTS_OF_A_KIND = 100, 5


def set_up_logging(level: str, directory: Path | None, node: str, *, max_bytes: int, backups: int) -> None:
    """Log to stderr and, with a `directory`, to `<directory>/<node>.log`, rotated at `max_bytes`.

    Raises:
        ConfigError: the directory cannot be written.
    """
    targets: list[logging.Handler] = []
    if sys.stderr is not None:
        # Not `sys.stderr` itself: Python flushes that at its exit, for ever if a thread hangs in there.
        targets.append(logging.StreamHandler(os.fdopen(2, "w", errors="backslashreplace", closefd=False)))
    if directory is not None:
        targets.append(_file_handler(directory / f"{node}.log", max_bytes, backups))
    formatter = _Formatter(_FORMAT, _TIME)
    formatter.converter = time.gmtime
    for target in targets:
        target.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), format="%(message)s", handlers=list(map(_Queue, targets)), force=True)


class _Formatter(logging.Formatter):
    """Whatever a library wrote, also in a traceback, shows no secret."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Queue(logging.handlers.QueueHandler):
    """Hands lines to a thread that writes them, so that a disk or a console that hangs holds up nobody who logs.

    Lines are dropped while too many wait, and counted.
    """

    def __init__(self, target: logging.Handler) -> None:
        self._waiting: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        super().__init__(self._waiting)
        self.addFilter(_on_one_line)
        self._target = target
        self._dropped = 0
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._target.handle(record)

    def enqueue(self, record: logging.LogRecord) -> None:
        if self._waiting.qsize() < _MOST_WAITING:
            self._tell_dropped()
            self._waiting.put(record)
        else:
            self._dropped += 1

    def _tell_dropped(self) -> None:
        if self._dropped:
            text = f"{self._dropped} lines are missing here: the disk or the console hung, or they came too fast"
            self._waiting.put(logging.makeLogRecord({"name": __name__, "levelname": "WARNING", "msg": text}))
            self._dropped = 0

    def close(self) -> None:
        """Write what waits; `logging` calls this at exit. A target that hangs is left as it is."""
        self._tell_dropped()
        self._waiting.put(None)
        self._writer.join(_PATIENCE_S)
        if self._writer.is_alive():
            self._target.createLock()  # its lock and its stream hang: at exit, `logging` would wait for both
            vars(self._target).update(stream=None)
        else:
            self._target.close()
        super().close()


def _on_one_line(record: logging.LogRecord) -> bool:
    """A board's name, or whatever else a stranger wrote, cannot make a line of its own."""
    text = record.getMessage()
    if not text.isprintable():
        record.msg, record.args = "".join(map(_printable, text)), ()
    return True


def _printable(character: str) -> str:
    return character if character.isprintable() else repr(character)[1:-1]


def _file_handler(path: Path, max_bytes: int, backups: int) -> logging.Handler:
    try:
        make_folder(path.parent)
        for rotated in path.parent.glob(f"{glob.escape(path.name)}*"):
            narrow(rotated)
        return _PrivateFile(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"log.directory: cannot write {path}: {why_denied(error, path)}") from None


class _PrivateFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=private)


class Throttle:
    """Keeps bad input from flooding the log: of each kind, a few different texts every `interval_s`, each once.

    Any thread.
    """

    def __init__(self, interval_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._kinds: dict[str, tuple[float, set[int], int]] = {}  # since when, what was told, how many were held back
        self._lock = threading.Lock()

    def admit(self, kind: str, text: str = "") -> int | None:
        """How many of the kind were held back since the last one, or None if this one is to be held back too."""
        now = self._clock()
        with self._lock:
            since, told, held = self._kinds.pop(kind, (now, set[int](), 0))
            if now - since >= self._interval_s:
                since, told = now, set()
            news = hash(text) not in told and len(told) < _TEXTS_OF_A_KIND
            self._kinds[kind] = (since, told | {hash(text)}, 0) if news else (since, told, held + 1)
            if len(self._kinds) > _MOST_KINDS:
                del self._kinds[next(iter(self._kinds))]  # the one that is longest quiet
        return held if news else None
