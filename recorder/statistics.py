"""Boards and boxes by hour of the line's wall clock, counted from the rows: whoever writes a row marks its hour.

An hour that was marked since it was last counted is counted again, soon, but so seldom that it costs little.
"""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Select, case, delete, extract, func, insert, select, update

from records.database import for_reading
from records.tables import BoardStatistics, Defect, DefectStatistics, Inspection, StatisticsHour, YieldStatistics
from records.times import hour_of

_HOUR = timedelta(hours=1)
_A_CALL_S = 1.0
_LATEST_HOURS, _ALL_S = 48, 600.0  # looked at each time; how often at all of them
_REST, _MOST_REST_S = 20.0, 10.0  # times as long as the count of an hour took, until it is counted again; at most
_MOST_MS = 1e9  # what an older version let in beyond this makes no sum that a column cannot hold
_BOARD_NUMBERS = ("boards", "incomplete", "latency_ms_sum", "latency_ms_max")
_DEFECT_NUMBERS = ("boxes", "boards")

Counts = dict[tuple[str, ...], tuple[float, ...]]
"""Of one hour: by (category,) boards, incomplete, sum and maximum of latency in ms; by (side, class) boxes, boards; by
(product, model, deciding side, category) boards."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the statistics are not what the rows say; `of` is a key of `Counts`."""

    begins_at: datetime
    of: tuple[str, ...]
    stored: tuple[float, ...]
    counted: tuple[float, ...]


def touch(connection: Connection, line: str, hours: Iterable[datetime]) -> None:
    """Rows of these hours are written in this transaction."""
    for hour in sorted(set(hours)):
        row = StatisticsHour.line == line, StatisticsHour.begins_at == hour
        changed = connection.execute(update(StatisticsHour).where(*row).values(touched=StatisticsHour.touched + 1))
        if not changed.rowcount:
            connection.execute(insert(StatisticsHour).values(line=line, begins_at=hour, touched=1, counted=0))


def touch_hours(engine: Engine, line: str, since: datetime, until: datetime, kept_since: datetime | None = None) -> int:
    """Mark all hours with rows that were inspected from `since` to before `until` (wall time). How many.

    Hours without rows too, if they have statistics and begin after `kept_since`: rows of before are gone by their age,
    and their statistics stay as they are.
    """
    moment = Inspection.inspection_time
    days = select(Inspection.local_date, extract("hour", moment)).distinct()
    days = days.where(Inspection.line == line, moment >= since, moment < until)
    with for_reading(engine).connect() as connection:
        found = {datetime.combine(day, datetime.min.time()) + hour * _HOUR for day, hour in connection.execute(days)}
        for table, _, _ in _TABLES:
            lasting = table.begins_at >= max(hour_of(since), kept_since or until), table.begins_at < until
            found.update(connection.scalars(select(table.begins_at).where(table.line == line, *lasting)))
    hours = sorted(found)
    for start in range(0, len(hours), 100):  # a line that runs waits for none of these for long
        with engine.begin() as connection:
            touch(connection, line, hours[start : start + 100])
    return len(hours)


class Statistics:
    """Counts the hours of one line that were marked. One thread uses it."""

    def __init__(self, engine: Engine, line: str) -> None:
        self._engine, self._line = engine, line
        self._not_before: dict[datetime, float] = {}
        self._all_again_at = -math.inf

    def count_touched(self) -> None:
        """Those that are due, the latest first; for about a second, the rest next time.

        The latest 48 hours are looked at each time, all of them at first and every ten minutes.

        Raises:
            SQLAlchemyError: the database does not take it now.
        """
        end, all_of_them = time.monotonic() + _A_CALL_S, time.monotonic() >= self._all_again_at
        self._not_before = {hour: at for hour, at in self._not_before.items() if at > time.monotonic()}
        with for_reading(self._engine).connect() as connection:
            begins_at, touched = StatisticsHour.begins_at, _touched(self._line)
            latest = select(begins_at).where(StatisticsHour.line == self._line).order_by(begins_at.desc())
            since = connection.scalar(latest.offset(_LATEST_HOURS - 1).limit(1))
            if since is not None and not all_of_them:
                touched = touched.where(begins_at >= since)
            hours = connection.scalars(touched.order_by(begins_at.desc())).all()
        for hour in hours:
            begun = time.monotonic()
            if begun > end:
                return
            if hour not in self._not_before:
                self._count(hour)
                took = time.monotonic() - begun  # of a database that hung meanwhile, this says nothing
                self._not_before[hour] = time.monotonic() + min(_REST * took, _MOST_REST_S)
        if all_of_them:
            self._all_again_at = time.monotonic() + _ALL_S

    def _count(self, hour: datetime) -> None:
        """Read in one snapshot, and written in a short transaction: what is written meanwhile marks the hour again."""
        row = StatisticsHour.line == self._line, StatisticsHour.begins_at == hour
        with for_reading(self._engine).connect() as connection:
            touched = connection.scalar(select(StatisticsHour.touched).where(*row))
            counts = counted(connection, self._line, hour)
        with self._engine.begin() as connection:
            for table, names, numbers in _TABLES:
                rows = [
                    {"line": self._line, "begins_at": hour, **dict(zip(names + numbers, key + value, strict=True))}
                    for key, value in counts.items()
                    if len(key) == len(names)
                ]
                connection.execute(delete(table).where(table.line == self._line, table.begins_at == hour))
                if rows:
                    connection.execute(insert(table), rows)
            connection.execute(update(StatisticsHour).where(*row).values(counted=touched))


def counted(connection: Connection, line: str, hour: datetime) -> Counts:
    """What the rows of one hour say."""

    def within(table: Any) -> tuple[Any, ...]:
        return table.line == line, table.inspection_time >= hour, table.inspection_time < hour + _HOUR

    latency = case((Inspection.latency_ms > _MOST_MS, _MOST_MS), else_=Inspection.latency_ms)
    incomplete = func.sum(case((Inspection.status == "incomplete", 1), else_=0))
    product, model = func.coalesce(Inspection.product, ""), func.coalesce(Inspection.model, "")
    keys = product, model, Inspection.camera_id, Inspection.category
    boards = select(*keys, func.count(), incomplete, func.sum(latency), func.max(latency)).group_by(*keys)
    boxes = select(Defect.camera_id, Defect.class_name, func.count(), func.count(Defect.inspection_id.distinct()))
    boxes = boxes.group_by(Defect.camera_id, Defect.class_name)
    by_product = _counts(connection, boards.where(*within(Inspection)), 4)
    found = _counts(connection, boxes.where(*within(Defect)), 2)
    for key, (count, *others) in by_product.items():
        found[key] = (count,)
        before = found.get(key[3:], (0.0,) * 4)
        sums = (one + other for one, other in zip(before[:3], (count, *others[:2]), strict=True))
        found[key[3:]] = (*sums, max(before[3], others[2]))
    return found


def differences(connection: Connection, line: str, since: datetime, until: datetime) -> Iterator[Difference]:
    """Of the hours from `since` to before `until` (wall time), but those that are still to be counted."""
    hour = hour_of(since)
    within = StatisticsHour.begins_at >= hour, StatisticsHour.begins_at < until
    waiting = set(connection.scalars(_touched(line).where(*within)))
    while hour < until:
        if hour not in waiting:
            is_, should_be = _stored(connection, line, hour), counted(connection, line, hour)
            for key in sorted({*is_, *should_be}):
                nothing = (0.0,) * len(is_.get(key) or should_be[key])
                pair = is_.get(key, nothing), should_be.get(key, nothing)
                # Sums of floats depend on the order of the terms.
                if not all(math.isclose(*each, rel_tol=1e-6, abs_tol=1e-6) for each in zip(*pair, strict=True)):
                    yield Difference(hour, key, *pair)
        hour += _HOUR


_TABLES: tuple[tuple[Any, tuple[str, ...], tuple[str, ...]], ...] = (
    (BoardStatistics, ("category",), _BOARD_NUMBERS),
    (DefectStatistics, ("camera_id", "class_name"), _DEFECT_NUMBERS),
    (YieldStatistics, ("product", "model", "camera_id", "category"), ("boards",)),
)


def _stored(connection: Connection, line: str, hour: datetime) -> Counts:
    found: Counts = {}
    for table, names, numbers in _TABLES:
        columns = [getattr(table, name) for name in names + numbers]
        query = select(*columns).where(table.line == line, table.begins_at == hour)
        found |= _counts(connection, query, len(names))
    return found


def _counts(connection: Connection, query: Any, keys: int) -> Counts:
    return {tuple(row[:keys]): tuple(float(each or 0) for each in row[keys:]) for row in connection.execute(query)}


def _touched(line: str) -> Select[datetime]:
    """The hours that are to be counted."""
    waiting = StatisticsHour.line == line, StatisticsHour.touched != StatisticsHour.counted
    return select(StatisticsHour.begins_at).where(*waiting)
