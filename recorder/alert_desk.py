"""Where the parts of the recorder raise alerts: an event at once, a row as soon as the database takes it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.messages import Level
from pcb_bus.contract.times import now_ns
from recorder.alert_rows import open_alerts, write_change
from recorder.alerts import Alert, AlertBook, Change, Key, Raised
from recorder.database import write_error
from recorder.errors import DatabaseDown, RowRefused

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 100
_MOST_UNWRITTEN = 10_000
_SUBJECT_LENGTH = 128

Say = Callable[..., None]
"""`Node.event`."""


@dataclass(frozen=True, slots=True)
class _News:
    """A change, and when it was, ns since the epoch."""

    change: Change
    at: int


class AlertDesk:
    """Keeps the alerts of one line. `raise_alert` and `resolve` may be called on any thread, and never wait.

    The events of the first moments wait for the first `write`, which reads back what was open before this process:
    that is not raised again.

    Args:
        engine: the database.
        say: publishes an event of the recorder.
    """

    def __init__(self, engine: Engine, say: Say) -> None:
        self._engine = engine
        self._say = say
        self._lock = threading.Lock()
        self._book = AlertBook()
        self._unwritten: deque[_News] = deque(maxlen=_MOST_UNWRITTEN)
        self._untold: list[Change] | None = []
        self._over_early: set[Key] = set()
        self._read_back = False

    def raise_alert(self, kind: str, subject: str, level: Level, message: str, **details: Any) -> None:
        """Open an alert; nothing happens if it is open already."""
        alert = Alert(Key(kind, subject[:_SUBJECT_LENGTH]), level, message, now_ns(), details)
        with self._lock:
            self._over_early.discard(alert.key)
            changes = self._noted(self._book.raise_(alert, time.monotonic_ns()))
        self._tell(changes)

    def resolve(self, kind: str, subject: str) -> None:
        """It is over; nothing happens if no such alert is open."""
        key = Key(kind, subject[:_SUBJECT_LENGTH])
        with self._lock:
            if not self._read_back:
                self._over_early.add(key)
            changes = self._noted(self._book.resolve(key, time.monotonic_ns()))
        self._tell(changes)

    def resolve_others(self, kind: str, subjects: Collection[str]) -> None:
        """Nothing but `subjects` can have alerts of this kind: what else is open of it is over."""
        for alert in self.open(kind):
            if alert.key.subject not in subjects:
                self.resolve(kind, alert.key.subject)

    def open(self, kind: str | None = None) -> list[Alert]:
        """What is open, oldest first."""
        with self._lock:
            return self._book.open(kind)

    def tick(self) -> None:
        """Resolves what flapped and has been over for a while."""
        with self._lock:
            changes = self._noted(self._book.tick(time.monotonic_ns()))
        self._tell(changes)

    def write(self) -> None:
        """Bring the table up to date; what was open before this process is read back first.

        Raises:
            DatabaseDown: what is not written stays here.
        """
        try:
            if not self._read_back:
                self._join(open_alerts(self._engine))
            while news := self._next_unwritten():
                self._write(news)
        except (SQLAlchemyError, OverflowError, ValueError) as error:
            raise DatabaseDown(str(write_error(error))) from error
        finally:
            self._tell_early()

    def _next_unwritten(self) -> list[_News]:
        with self._lock:
            return [self._unwritten[place] for place in range(min(_ROWS_AT_ONCE, len(self._unwritten)))]

    def _write(self, news: Sequence[_News]) -> None:
        """All of it; a change that the database can never take is found alone, logged and left out."""
        try:
            with self._engine.begin() as connection:
                for each in news:
                    write_change(connection, each.change, each.at)
        except (SQLAlchemyError, OverflowError, ValueError) as error:
            if not isinstance(write_error(error), RowRefused):
                raise
            if len(news) > 1:
                for each in news:
                    self._write([each])
                return
            log.error("the database refuses an alert: %s", news[0].change.alert)
        self._forget(news)

    def _forget(self, news: Sequence[_News]) -> None:
        with self._lock:
            for each in news:
                if self._unwritten and self._unwritten[0] is each:
                    self._unwritten.popleft()

    def _join(self, rows: Iterable[Alert]) -> None:
        """Joins what was open before this process with what has come since."""
        with self._lock:
            for alert in rows:
                if self._book.is_open(alert.key):
                    self._untold = [each for each in self._untold or () if each.alert.key != alert.key]
                else:
                    self._book.adopt(alert)
                if alert.key in self._over_early:
                    self._noted(self._book.resolve(alert.key, time.monotonic_ns()))
            self._over_early.clear()
            self._read_back = True

    def _noted(self, changes: list[Change]) -> list[Change]:
        """What of `changes` is to be told now. Holds the lock."""
        self._unwritten.extend(_News(change, now_ns()) for change in changes)
        if self._untold is None:
            return changes
        self._untold += changes
        return []

    def _tell_early(self) -> None:
        with self._lock:
            changes, self._untold = self._untold or [], None
        self._tell(changes)

    def _tell(self, changes: Iterable[Change]) -> None:
        for change in changes:
            alert, raised = change.alert, isinstance(change, Raised)
            state = "raised" if raised else "resolved"
            about = {**alert.details, "alert": alert.key.kind, "subject": alert.key.subject, "state": state}
            if raised:
                self._say(alert.level, alert.message, **about)
            else:
                self._say("info", f"back to normal: {alert.message}", **about)
