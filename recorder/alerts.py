"""What is open for a person to look at: one alert for each kind and subject. The table of alerts is the truth.

A part of the recorder says that a cause is there, or gone, as often as it looks. That is told at once, as an event of
the node, and written as soon as the database takes it. People may acknowledge and resolve the rows.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, LargeBinary, cast, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.contract.messages import Level
from records.database import for_reading, meaning, probe, reason
from records.tables import Alert as Table

log = logging.getLogger(__name__)

_MOST = 10_000
_SUBJECT_LENGTH = 128
_FIRST_WAIT_S, _LONGEST_WAIT_S = 10.0, 600.0
_MEMORY_S = 600.0  # an alert that stays away for so long has stopped flapping
_OVER = "back to normal"

Key = tuple[str, str]
"""Kind and subject: what an alert is about. The subject is a node, a pass of a board, a disk."""


class Alert(NamedTuple):
    """Something that a person has to look at."""

    kind: str
    subject: str
    level: str
    message: str
    raised_at: datetime
    details: Mapping[str, Any]

    @property
    def key(self) -> Key:
        return self.kind, self.subject


class _Change(NamedTuple):
    alert: Alert
    resolved_at: datetime | None
    said: str = ""


class Alerts:
    """The alerts of one line. What flaps is resolved late: twice as late each time that it comes back soon.

    Any thread may call the methods, but `sync`, which one thread calls again and again; none of them waits.

    Args:
        say: publishes an event of the recorder: level, message, details.
        again_after_s: what a person resolved is raised again after so long if its cause is still there.
        clock: monotonic s.
    """

    def __init__(
        self,
        engine: Engine,
        line: str,
        say: Callable[..., None],
        again_after_s: float = 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._line, self._say, self._clock = engine, line, say, clock
        self._again_after_s = again_after_s
        self._lock = threading.RLock()
        self._open: dict[Key, Alert] = {}
        self._over: dict[Key, tuple[float, float, str]] = {}  # cause gone: resolved when, after how long a wait
        self._resolved: dict[Key, tuple[float, float]] = {}  # when and after how long a wait; what is open keeps it
        self._not_before: dict[Key, float] = {}  # resolved by a person while the cause lasts
        self._unwritten: deque[_Change] = deque(maxlen=_MOST)
        self._was_read = self._telling = False

    def raise_alert(self, kind: str, subject: str, level: Level, message: str, **details: Any) -> None:
        """Its cause is there; nothing happens if the alert is open already, or a person resolved it not long ago."""
        alert = Alert(kind, subject[:_SUBJECT_LENGTH], level, message, datetime.now(UTC), details)
        with self._lock:
            self._over.pop(alert.key, None)
            self._resolve_due()
            if alert.key not in self._open and self._clock() >= self._not_before.get(alert.key, 0):
                self._open[alert.key] = alert
                self._note(_Change(alert, None))

    def resolve(self, kind: str, subject: str, said: str = _OVER) -> None:
        """Its cause is gone; nothing happens if no such alert is open."""
        key = kind, subject[:_SUBJECT_LENGTH]
        with self._lock:
            self._not_before.pop(key, None)
            if key not in self._over:
                wait = 0.0
                if key in self._resolved:
                    wait = min(max(_FIRST_WAIT_S, 2 * self._resolved[key][1]), _LONGEST_WAIT_S)
                self._over[key] = self._clock() + wait, wait, said
            self._resolve_due()

    def follow(
        self, kind: str, subject: str, is_there: bool | None, level: Level, message: str, **details: Any
    ) -> None:
        """Raise it while its cause is there, and resolve it once that is gone; None: neither is news."""
        if is_there:
            self.raise_alert(kind, subject, level, message, **details)
        elif is_there is not None:
            self.resolve(kind, subject)

    def resolve_others(self, kind: str, subjects: Collection[str]) -> None:
        """Nothing but `subjects` can have alerts of this kind: what else is open of it is over."""
        for alert in self.open(kind):
            if alert.subject not in subjects:
                self.resolve(kind, alert.subject)

    def open(self, kind: str | None = None) -> list[Alert]:
        """What is open, oldest first; of one kind, if it is named."""
        with self._lock:
            found = [alert for alert in self._open.values() if kind in (None, alert.kind)]
        return sorted(found, key=lambda alert: alert.raised_at)

    def sync(self) -> None:
        """Read what is open in the table, and write what changed here.

        Raises:
            DatabaseDown, SQLAlchemyError: what is not written stays here.
        """
        try:
            rows = {alert.key: alert for alert in read_alerts(self._engine, self._line, Table.resolved_at.is_(None))}
        except SQLAlchemyError:
            with self._lock:
                self._begin_to_tell({})
                self._resolve_due()
            raise
        with self._lock:
            self._begin_to_tell(rows)
            self._adopt(rows)
            self._resolve_due()
            changes = list(self._unwritten)
        self._write(changes)
        with self._lock:
            for _ in changes:
                self._unwritten.popleft()

    def _begin_to_tell(self, rows: Mapping[Key, Alert]) -> None:
        """Events of the first moments waited for the table: what was open before this process is not told again."""
        for change in () if self._telling else self._unwritten:
            if change.alert.key not in rows:
                self._tell(change)
        self._telling = True

    def _adopt(self, rows: Mapping[Key, Alert]) -> None:
        """What is open in the table, is. What is not any more, a person resolved."""
        waiting = {change.alert.key for change in self._unwritten}
        for key in self._open.keys() - rows.keys() - waiting:
            del self._open[key]
            self._not_before[key] = self._clock() + self._again_after_s
        self._open |= {key: alert for key, alert in rows.items() if key not in waiting}
        self._was_read = True

    def _resolve_due(self) -> None:
        now = self._clock()
        for key, (due, wait, said) in list(self._over.items()):
            if key in self._open and now >= due:
                del self._over[key]
                self._resolved[key] = now, wait
                self._note(_Change(self._open.pop(key), datetime.now(UTC), said))
            elif key not in self._open and self._was_read:
                del self._over[key]
        for key, (at, _) in list(self._resolved.items()):
            if key not in self._open and now - at >= _MEMORY_S:
                del self._resolved[key]
        self._not_before = {key: end for key, end in self._not_before.items() if now < end}

    def _note(self, change: _Change) -> None:
        self._unwritten.append(change)
        if self._telling:
            self._tell(change)

    def _tell(self, change: _Change) -> None:
        alert = change.alert
        about = {**alert.details, "alert": alert.kind, "subject": alert.subject}
        if change.resolved_at is None:
            self._say(alert.level, alert.message, **about, state="raised")
        else:
            self._say("info", f"{change.said}: {alert.message}", **about, state="resolved")

    def _write(self, changes: Sequence[_Change]) -> None:
        """All of it; a change that the database can never take is found alone, logged and left out."""
        if not changes:
            return
        try:
            with self._engine.begin() as connection:
                for change in changes:
                    alert = change.alert
                    mine = (Table.line == self._line, Table.kind == alert.kind, Table.subject == alert.subject)
                    is_open = (*mine, Table.resolved_at.is_(None))
                    if change.resolved_at is not None:
                        connection.execute(update(Table).where(*is_open).values(resolved_at=change.resolved_at))
                    # A commit may have been done although its answer was lost: it is not written again.
                    elif connection.execute(select(Table.id).where(*is_open).limit(1)).first() is None:
                        row = {**alert._asdict(), "details": dict(alert.details), "line": self._line}
                        connection.execute(insert(Table).values(**row))
        except (SQLAlchemyError, ValueError) as error:
            if meaning(error) != "row":
                raise
            if len(changes) == 1:
                probe(self._engine, self._line)
                log.error("the database refuses an alert (%s): %s", reason(error), changes[0].alert)
            for change in changes if len(changes) > 1 else ():
                self._write([change])


def read_alerts(engine: Engine, line: str, *where: ColumnElement[bool]) -> list[Alert]:
    """Those of a line, newest first.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    # The details as bytes: whatever another program wrote into one row must not hide the others.
    columns = (Table.kind, Table.subject, Table.level, Table.message, Table.raised_at, cast(Table.details, LargeBinary))
    newest = select(*columns).where(Table.line == line, *where).order_by(Table.id.desc()).limit(_MOST)
    with for_reading(engine).connect() as connection:
        return [Alert(*row[:5], _details(row[5])) for row in connection.execute(newest)]


def _details(stored: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(stored or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
