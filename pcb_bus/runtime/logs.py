"""Logging: one line an event, to the console and to a rotating file."""

import logging
import logging.handlers
import time
from pathlib import Path

from pcb_bus.errors import ConfigError

_FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
_TIME = "%Y-%m-%dT%H:%M:%S"


def set_up_logging(level: str, directory: Path | None, node: str, *, max_bytes: int, backups: int) -> None:
    """Log to stderr and, with a `directory`, to `<directory>/<node>.log`, rotated at `max_bytes`.

    Raises:
        ConfigError: the directory cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if directory is not None:
        handlers.append(_file_handler(directory / f"{node}.log", max_bytes, backups))
    formatter = logging.Formatter(_FORMAT, _TIME)
    formatter.converter = time.gmtime
    for handler in handlers:
        handler.setFormatter(formatter)
        handler.addFilter(_on_one_line)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)


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
        path.parent.mkdir(parents=True, exist_ok=True)
        return logging.handlers.RotatingFileHandler(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"log.directory: cannot write {path}: {error.strerror}") from None


class Throttle:
    """Lets one message of a kind through every `interval_s`, so that bad input cannot flood the log."""

    def __init__(self, interval_s: float = 10.0) -> None:
        self._interval_ns = round(interval_s * 1e9)
        self._last: dict[str, int] = {}
        self._held: dict[str, int] = {}

    def admit(self, kind: str, now_ns: int) -> int | None:
        """How many were held back since the last one, or None if this one is to be held back too."""
        last = self._last.get(kind)
        if last is not None and now_ns - last < self._interval_ns:
            self._held[kind] = self._held.get(kind, 0) + 1
            return None
        self._last[kind] = now_ns
        return self._held.pop(kind, 0)
