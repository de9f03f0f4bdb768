"""Removes what is too old or too much: pictures, oldest first, then logs. The rows of the boards stay.

A row is marked before its file goes: after a crash between the two a file is left over, which the sweep finds, and no
row names a file that is not there.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from sqlalchemy import Engine, delete, func, select, update

from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import Section
from pcb_bus.runtime.workers import Worker
from recorder.database import for_reading
from recorder.faults import careful
from recorder.images.base import Images
from recorder.images.forms import SUFFIXES
from recorder.tables import DefectImage, Inspection, RejectedMessage, SystemLog

_CHUNK = 200
_CHUNKS_A_ROUND = 20
_GIGABYTE = 1_000_000_000
_MEGABYTE = 1_000_000
_SHARDS = 256
_ORPHAN_S = 86_400.0
_FUTILE_PAUSE_S = 3600.0


class RetentionSettings(Section):
    """How long things are kept."""

    days: Annotated[float, Field(gt=0, le=100_000)] = 90
    """Pictures older than this are removed; live: `retention_days`."""
    max_gb: Annotated[float, Field(gt=0)] = 20
    """Size of all pictures, GB; over it the oldest go."""
    log_days: Annotated[float, Field(gt=0, le=100_000)] = 365
    """Rows of `system_logs`."""
    rejected_days: Annotated[float, Field(gt=0, le=100_000)] = 30
    """Rows of `rejected_messages`."""


class _Picture(NamedTuple):
    """A row that is not removed."""

    id: int
    verdict_id: str
    path: str
    size_bytes: int


class Retention:
    """Removes; each call does a bounded part of the work. Every transaction touches 200 rows at most.

    Args:
        days: the live value of `retention_days`; None where the settings hold.
        min_free_mb: with less room than this (MB) on the disk of the pictures the oldest go.
    """

    def __init__(
        self,
        engine: Engine,
        images: Images,
        settings: RetentionSettings,
        days: Callable[[], float | None] = lambda: None,
        min_free_mb: float = 0,
    ) -> None:
        self._engine = engine
        self._images = images
        self._settings = settings
        self._days = days
        self._least_free = min_free_mb * _MEGABYTE
        self._base: int | None = None  # total less what this process wrote
        self._futile_until = 0.0
        self._shard = 0

    def declare(self, service: Service, worker: Worker) -> None:
        """Have `worker` do all of it, now and then; failures are told by `service`."""
        worker.every(10.0, careful(service, "retention", lambda: self.look(datetime.now(UTC))))
        worker.every(300.0, careful(service, "sweep", lambda: self.sweep_next(time.time())))
        worker.every(60.0, careful(service, "old logs", lambda: self.remove_old_logs(datetime.now(UTC))))

    def look(self, now: datetime) -> None:
        """Remove what is too old, too much, or in the way; 4,000 pictures a call at most.

        Raises:
            SQLAlchemyError, OSError: the database or the store fails; what is left is done next time.
        """
        days = self._days() or self._settings.days
        oldest = now - timedelta(days=days)
        for _ in range(_CHUNKS_A_ROUND):
            if not (self._remove_oldest(now, before=oldest) or self._remove_excess(now) or self._make_room(now)):
                return

    def sweep_next(self, now: float) -> int:
        """Remove files of the next of 256 shards that no row has known for a day; `now` in seconds. How many went."""
        shard = f"{self._shard:02x}"
        self._shard = (self._shard + 1) % _SHARDS
        if self._shard == 0:
            self._base = None  # sum up anew: the counted total may have drifted
        old = [file.path for file in self._images.files(shard) if now - file.modified_at > _ORPHAN_S]
        known = self._living(old)
        removed = sum(self._images.remove(path) for path in old if path not in known)
        if removed:
            self._base = None  # they may have been counted
        return removed

    def remove_old_logs(self, now: datetime) -> None:
        for table, column, days in (
            (SystemLog, SystemLog.logged_at, self._settings.log_days),
            (RejectedMessage, RejectedMessage.received_at, self._settings.rejected_days),
        ):
            for _ in range(_CHUNKS_A_ROUND):
                if not self._remove_rows(table, column, now - timedelta(days=days)):
                    break

    @property
    def total_bytes(self) -> int:
        """Size of all pictures: summed up once, then counted."""
        if self._base is None:
            written = self._images.written_bytes
            sizes = (
                select(func.max(DefectImage.size_bytes).label("size"))
                .where(DefectImage.removed_at.is_(None))
                .group_by(DefectImage.sha256)
                .subquery()
            )
            with for_reading(self._engine).connect() as connection:
                self._base = int(connection.scalar(select(func.sum(sizes.c.size))) or 0) - written
        return self._base + self._images.written_bytes

    def _remove_excess(self, now: datetime) -> int:
        excess = self.total_bytes - self._settings.max_gb * _GIGABYTE
        return self._remove_oldest(now, enough_bytes=excess) if excess > 0 else 0

    def _make_room(self, now: datetime) -> int:
        free = self._images.free_bytes()
        if free is None or free >= self._least_free or time.monotonic() < self._futile_until:
            return 0
        removed = self._remove_oldest(now, enough_bytes=self._least_free - free)
        if (self._images.free_bytes() or 0) <= free:
            # The pictures are not what fills this disk; to remove them all would not help.
            self._futile_until = time.monotonic() + _FUTILE_PAUSE_S
        return removed

    def _remove_oldest(self, now: datetime, before: datetime | None = None, enough_bytes: float | None = None) -> int:
        """Mark up to 200 of the oldest pictures, then remove their files. How many rows were marked."""
        with for_reading(self._engine).connect() as connection:
            query = select(DefectImage.id, DefectImage.verdict_id, DefectImage.path, DefectImage.size_bytes)
            query = query.where(DefectImage.removed_at.is_(None)).order_by(DefectImage.received_at).limit(_CHUNK)
            query = query if before is None else query.where(DefectImage.received_at < before)
            rows = [_Picture(*row) for row in connection.execute(query)]
        chosen = rows if enough_bytes is None else _first_bytes(rows, enough_bytes)
        if chosen:
            self._mark(chosen, now)
            self._remove_files({row.path: row.size_bytes for row in chosen})
        return len(chosen)

    def _mark(self, rows: Sequence[_Picture], now: datetime) -> None:
        with self._engine.begin() as connection:
            ids = [row.id for row in rows]
            connection.execute(update(DefectImage).where(DefectImage.id.in_(ids)).values(removed_at=now))
            connection.execute(
                update(Inspection)
                .where(
                    Inspection.verdict_id.in_({row.verdict_id for row in rows}),
                    Inspection.image_path.in_({row.path for row in rows}),
                )
                .values(image_path=None)
            )

    def _remove_files(self, sizes: dict[str, int]) -> None:
        living = self._living(sizes)
        for path, size in sizes.items():
            if path not in living and self._images.remove(path) and self._base is not None:
                self._base -= size

    def _living(self, paths: Iterable[str]) -> set[str]:
        """Those that a row which was not removed refers to. By content, for that has an index."""
        by_sha = {path.rpartition("/")[2].partition(".")[0]: path for path in paths if path.endswith(SUFFIXES)}
        names, found = list(by_sha), set[str]()
        with for_reading(self._engine).connect() as connection:
            for start in range(0, len(names), _CHUNK):
                some = DefectImage.sha256.in_(names[start : start + _CHUNK])
                query = select(DefectImage.sha256).where(some, DefectImage.removed_at.is_(None))
                found.update(by_sha[sha] for sha in connection.scalars(query))
        return found

    def _remove_rows(self, table: Any, column: Any, before: datetime) -> int:
        with self._engine.begin() as connection:
            ids = connection.scalars(select(table.id).where(column < before).order_by(column).limit(_CHUNK)).all()
            connection.execute(delete(table).where(table.id.in_(ids)))
        return len(ids)


def _first_bytes(rows: Sequence[_Picture], enough: float) -> list[_Picture]:
    """As many of the first as hold that many bytes together."""
    chosen: list[_Picture] = []
    for row in rows:
        if enough <= 0:
            break
        chosen.append(row)
        enough -= row.size_bytes
    return chosen
