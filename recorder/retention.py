"""Removes what is too old, or too much: pictures, oldest first, and rows. A doubtful clock removes nothing by age.

A picture is marked `removing`, its file deleted, and only then is it `removed`: what a crash leaves half done is done
at the next look.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update

from pcb_bus.runtime.service import Service
from pcb_bus.runtime.workers import Worker
from recorder.alerts import Alerts
from recorder.faults import careful
from recorder.pictures import link_again
from recorder.settings import RecorderSettings
from records import tables
from records.database import for_reading
from records.picture_store import PictureStore
from records.tables import DefectImage, Inspection, LineState
from records.times import local_time

_CHUNK = 200
_CHUNKS_A_LOOK = 20
_LOOK_S, _PRUNE_S, _SUM_S, _HOUR_S = 30.0, 60.0, 600.0, 3600.0
_HOUR, _SHIFT, _DAY, _WEEK = timedelta(hours=1), timedelta(hours=6), timedelta(days=1), timedelta(days=7)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_MINE = ("stored", "pending")
_Removal = Callable[[Connection, Sequence[int]], None]


class _Picture(NamedTuple):
    id: int
    verdict_id: str
    path: str
    sha256: str
    size_bytes: int
    received_at: datetime


_COLUMNS = tuple(getattr(DefectImage, name) for name in _Picture._fields)


class Clock:
    """Whether ages can be believed. Not for a day after the clock was more than 7 days ahead of when it was last
    believed, or more than an hour behind, nor for 6 h after a start within that day.

    Attributes:
        seen_at: when the clock was last believed, and the time that the recorder has run since then.
        keep_until: until when it is not believed; None: it is.
    """

    def __init__(self, engine: Engine, line: str) -> None:
        self._engine, self._line = engine, line
        self._ticks: float | None = None
        self.seen_at: datetime | None = None
        self.keep_until: datetime | None = None

    def look(self, now: datetime, ticks: float) -> None:
        """`ticks`: monotonic s. Raises SQLAlchemyError: it could not be read, or written down."""
        before = self._ticks
        if before is None:
            self.seen_at, self.keep_until = self._last_seen()
        elif self.keep_until and self.seen_at:
            self.seen_at += timedelta(seconds=ticks - before)
        self._ticks = ticks
        if self.seen_at is None or _follows(now, self.seen_at):
            self.keep_until = None
        elif self.keep_until is None or not _follows(now, self.keep_until - _DAY):
            self.keep_until = now + _DAY
        elif before is None:
            self.keep_until = max(self.keep_until, now + _SHIFT)
        elif now >= self.keep_until:
            self.keep_until = None
        self.seen_at = now if self.keep_until is None or self.seen_at is None else self.seen_at
        self._write()

    def _last_seen(self) -> tuple[datetime | None, datetime | None]:
        newest = select(func.max(DefectImage.received_at)).where(DefectImage.line == self._line)
        state = select(LineState.seen_at, LineState.keep_until).where(LineState.line == self._line)
        with for_reading(self._engine).connect() as connection:
            row = connection.execute(state).first()
            # The version before wrote no state, but pictures.
            return (row.seen_at, row.keep_until) if row else (connection.scalar(newest), None)

    def _write(self) -> None:
        values = {"seen_at": self.seen_at, "keep_until": self.keep_until}
        with self._engine.begin() as connection:
            changed = connection.execute(update(LineState).where(LineState.line == self._line).values(values))
            if not changed.rowcount:
                connection.execute(insert(LineState).values(line=self._line, **values))


def _follows(now: datetime, before: datetime) -> bool:
    # Not against the monotonic clock: that one stands still while the machine sleeps.
    return -_HOUR <= now - before <= _WEEK


class Retention:
    """Removes pictures and rows of one line; each call does a bounded part. Every transaction touches 200 rows at most.

    Args:
        live_days: the live value of `retention_days`; None where the settings hold.
    """

    def __init__(
        self,
        engine: Engine,
        line: str,
        store: PictureStore,
        settings: RecorderSettings,
        alerts: Alerts,
        live_days: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._engine, self._line, self._store, self._alerts = engine, line, store, alerts
        self._settings, self._live_days = settings, live_days
        self._clock = Clock(engine, line)
        self._gone: deque[tuple[float, int]] = deque()  # when (monotonic s), and how many pictures
        self._total = 0
        self._sum_again_at = self._futile_until = 0.0

    def declare(self, service: Service, worker: Worker) -> None:
        """Have `worker` do all of it, now and then; failures are told by `service`."""
        worker.every(_LOOK_S, careful(service, "retention", lambda: self.look(datetime.now(UTC), time.monotonic())))
        worker.every(_PRUNE_S, careful(service, "old rows", lambda: self.prune(datetime.now(UTC), time.monotonic())))

    def look(self, now: datetime, ticks: float) -> None:
        """Remove pictures that may go, 4,000 at most. `ticks`: monotonic s.

        Raises:
            SQLAlchemyError: the database fails; what is left is done next time.
        """
        self._clock.look(now, ticks)
        self._tell_of_clock()
        kept = self._settings.retention
        days = self._live_days() or kept.days
        too_old = _LONG_AGO if self._clock.keep_until else now - timedelta(days=days)
        # Of a clock that was set ahead, even what is fresh looks old.
        old_enough = min(now, self._clock.seen_at or now) - timedelta(hours=kept.least_hours)
        failed = self._delete_marked(now)
        for _ in range(_CHUNKS_A_LOOK):
            excess, free = self._excess(ticks)
            # So many that are marked, and there: the store is away.
            most = self._budget(now, ticks) if len(failed) < _CHUNK else 0
            chosen = self._choose(too_old, old_enough, excess, most)
            if not chosen:
                break
            self._mark(chosen)
            failed |= self._delete(chosen, now)
            self._gone.append((ticks, len(chosen)))
            self._total -= sum(picture.size_bytes for picture in chosen)
            removed = sum(picture.size_bytes for picture in chosen if picture.path not in failed)
            if free is not None and (self._store.free_bytes() or 0) < free + removed / 2:
                # The pictures are not what fills this disk; to remove them all would not help.
                self._futile_until = ticks + _HOUR_S
        self._tell_of_files(failed)

    def prune(self, now: datetime, ticks: float) -> None:
        """Remove old rows, 4,000 of each kind at most. `ticks`: monotonic s.

        Raises:
            SQLAlchemyError: the database fails; what is left is done next time.
        """
        self._clock.look(now, ticks)
        if self._clock.keep_until is not None:
            return
        kept = self._settings.retention
        boards, logs, rejected, audit = (
            now - timedelta(days=each) for each in (kept.board_days, kept.log_days, kept.rejected_days, kept.audit_days)
        )
        shown = local_time(boards, self._settings.zone)
        # By the recorder's clock as well: that of a camera may have said anything.
        too_old = Inspection.inspection_time < shown, Inspection.received_at < boards
        self._remove_rows(Inspection, *too_old, first=self._remove_reviews)
        self._remove_rows(tables.Trigger, ~tables.Trigger.open, tables.Trigger.received_at < boards)
        self._remove_rows(tables.Serial, tables.Serial.received_at < boards)
        self._remove_rows(tables.Actuation, tables.Actuation.received_at < boards)
        self._remove_rows(DefectImage, DefectImage.state.in_(("removed", "pending")), DefectImage.received_at < boards)
        self._remove_rows(tables.SystemLog, tables.SystemLog.logged_at < logs)
        self._remove_rows(tables.Alert, tables.Alert.resolved_at < logs)
        self._remove_rows(tables.RejectedMessage, tables.RejectedMessage.received_at < rejected)
        self._remove_rows(tables.AuditEntry, tables.AuditEntry.at < audit)
        self._remove_in_chunks(tables.AuditEntry.id, tables.AuditEntry.line.is_(None), tables.AuditEntry.at < audit)
        self._remove_in_chunks(tables.Session.token_sha256, tables.Session.expires_at < now - _DAY)

    def _tell_of_clock(self) -> None:
        until = self._clock.keep_until
        if until is None:
            self._alerts.resolve("clock", "clock")
        else:
            why = "the clock was set, or nothing was recorded for more than 7 days: check the date, and set up NTP"
            what = f"nothing is removed by its age until {until:%Y-%m-%d %H:%M} UTC"
            self._alerts.raise_alert("clock", "clock", "warning", f"{what}; {why}")

    def _tell_of_files(self, failed: Mapping[str, str]) -> None:
        if failed:
            path, fault = next(iter(failed.items()))
            why = f"{len(failed)} old pictures cannot be deleted, as {path}: {fault}; check rights in recorder.images"
            self._alerts.raise_alert("retention", "retention", "warning", why)
        else:
            self._alerts.resolve("retention", "retention")

    def _excess(self, ticks: float) -> tuple[float, int | None]:
        """How many bytes are too many, and, where it is for the sake of its disk, how many are free there."""
        if ticks >= self._sum_again_at:
            stored = DefectImage.line == self._line, DefectImage.state == "stored"
            with for_reading(self._engine).connect() as connection:
                self._total = int(connection.scalar(select(func.sum(DefectImage.size_bytes)).where(*stored)) or 0)
            self._sum_again_at = ticks + _SUM_S
        over = self._total - self._settings.retention.max_gb * 1e9
        free = self._store.free_bytes() if ticks >= self._futile_until else None
        lacking = 0.0 if free is None else self._settings.alerts.min_free_mb * 1e6 - free
        return max(over, lacking), free if lacking > 0 else None

    def _budget(self, now: datetime, ticks: float) -> int:
        """How many more pictures may go within this hour."""
        while self._gone and ticks - self._gone[0][0] >= _HOUR_S:
            self._gone.popleft()
        lately = DefectImage.received_at.between(now - _HOUR, now)
        came = select(func.count()).where(DefectImage.line == self._line, DefectImage.state.in_(_MINE), lately)
        with for_reading(self._engine).connect() as connection:
            most = max(self._settings.retention.pictures_an_hour, 2 * (connection.scalar(came) or 0))
        return most - sum(count for _, count in self._gone)

    def _choose(self, too_old: datetime, old_enough: datetime, excess: float, most: int) -> list[_Picture]:
        """Up to 200 of the oldest: those that are too old, and as many as hold `excess` bytes."""
        stored = DefectImage.line == self._line, DefectImage.state == "stored", DefectImage.received_at < old_enough
        query = select(*_COLUMNS).where(*stored).order_by(DefectImage.received_at).limit(max(0, min(_CHUNK, most)))
        chosen: list[_Picture] = []
        with for_reading(self._engine).connect() as connection:
            for picture in map(_Picture._make, connection.execute(query)):
                if picture.received_at >= too_old and excess <= 0:
                    break
                chosen.append(picture)
                excess -= picture.size_bytes
        return chosen

    def _mark(self, chosen: Collection[_Picture]) -> None:
        these = DefectImage.id.in_([picture.id for picture in chosen])
        with self._engine.begin() as connection:
            connection.execute(update(DefectImage).where(these).values(state="removing"))
            link_again(connection, self._line, {each.verdict_id for each in chosen}, self._settings.image_url)

    def _delete_marked(self, now: datetime) -> dict[str, str]:
        """What was left half done. The paths that cannot be deleted, and why."""
        marked = select(*_COLUMNS).where(DefectImage.line == self._line, DefectImage.state == "removing")
        failed: dict[str, str] = {}
        after = 0
        while len(failed) < _CHUNK:
            with for_reading(self._engine).connect() as connection:
                next_ones = marked.where(DefectImage.id > after).order_by(DefectImage.id).limit(_CHUNK)
                pictures = [_Picture._make(row) for row in connection.execute(next_ones)]
            if not pictures:
                break
            failed |= self._delete(pictures, now)
            after = pictures[-1].id
        return failed

    def _delete(self, pictures: Collection[_Picture], now: datetime) -> dict[str, str]:
        """The files of up to 200 pictures that are marked, unless another row has the same, as of old."""
        shas, paths = {picture.sha256 for picture in pictures}, {picture.path for picture in pictures}
        shared = DefectImage.sha256.in_(shas), DefectImage.path.in_(paths), DefectImage.state.in_(_MINE)
        with for_reading(self._engine).connect() as connection:
            living = set(connection.scalars(select(DefectImage.path).where(*shared)))
        failed: dict[str, str] = {}
        for path in paths - living:
            try:
                self._store.delete(path)
            except OSError as error:
                failed[path] = str(error)
        these = DefectImage.id.in_([picture.id for picture in pictures if picture.path not in failed])
        with self._engine.begin() as connection:
            connection.execute(update(DefectImage).where(these).values(state="removed", removed_at=now))
        return failed

    def _remove_rows(self, table: Any, *old: ColumnElement[bool], first: _Removal | None = None) -> None:
        self._remove_in_chunks(table.id, table.line == self._line, *old, first=first)

    def _remove_in_chunks(self, key: Any, *old: ColumnElement[bool], first: _Removal | None = None) -> None:
        """The rows for which `old` holds, known by `key`; `first` removes what goes with the rows of a chunk."""
        for _ in range(_CHUNKS_A_LOOK):
            with for_reading(self._engine).connect() as connection:
                keys = connection.scalars(select(key).where(*old).limit(_CHUNK)).all()
            if keys:
                with self._engine.begin() as connection:
                    if first is not None:
                        first(connection, keys)
                    connection.execute(delete(key.class_).where(key.in_(keys)))
            if len(keys) < _CHUNK:
                return

    def _remove_reviews(self, connection: Connection, inspections: Sequence[int]) -> None:
        verdicts = connection.scalars(select(Inspection.verdict_id).where(Inspection.id.in_(inspections))).all()
        for table in (tables.Review, tables.ReviewSample):
            connection.execute(delete(table).where(table.line == self._line, table.verdict_id.in_(verdicts)))
