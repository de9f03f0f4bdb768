"""Whether the statistics are what the rows say, and how to make them so."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select

from recorder.periods import DAY, HOUR, Calendar
from recorder.rows import Row
from recorder.statistics import Boards, Defects, Tally, add, tally
from recorder.tables import BoardStatistics, DefectStatistics, Inspection

_JUST_UNDER_AN_HOUR = timedelta(hours=1) - timedelta.resolution


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the statistics are not what the rows say: `stored` and `counted` stand for each other's fields."""

    period: str
    begins_at: datetime
    of: tuple[str, ...]
    """The category, or side and class."""
    stored: Boards | Defects
    counted: Boards | Defects


def recount(connection: Connection, calendar: Calendar, begin: datetime, end: datetime) -> list[Difference]:
    """Count the rows from the day of `begin` to that before `end` anew, and compare; none differ if all is well."""
    first, last = _days(calendar, begin, end)
    counted = _counted(connection, calendar, first, last)
    stored = _stored(connection, first, last)
    found: list[Difference] = []
    for was, now in ((stored.boards, counted.boards), (stored.defects, counted.defects)):
        found += _differences(was, now, first, last)
    return found


def rebuild(connection: Connection, calendar: Calendar, begin: datetime, end: datetime) -> None:
    """Make the statistics of the same days what the rows say: for rows of before there were any, or a new time zone.

    Must be first in its transaction: what other writers commit before it is counted, and they wait to add the rest.
    """
    first, last = _days(calendar, begin, end)
    for kind in (BoardStatistics, DefectStatistics):
        for period, until in ((DAY, last), (HOUR, last - _JUST_UNDER_AN_HOUR)):
            within = (kind.period == period, kind.begins_at >= first, kind.begins_at < until)
            connection.execute(delete(kind).where(*within))
    add(connection, _counted(connection, calendar, first, last))


def _differences(was: Mapping[Any, Any], now: Mapping[Any, Any], first: datetime, last: datetime) -> list[Difference]:
    nothing = Boards() if any(len(key) == 3 for key in (*was, *now)) else Defects()
    keys = (key for key in sorted({*was, *now}) if _whole(key[0], key[1], first, last))
    return [
        Difference(key[0], key[1], key[2:], was.get(key, nothing), now.get(key, nothing))
        for key in keys
        if not _same(was.get(key, nothing), now.get(key, nothing))
    ]


def _whole(period: str, begins_at: datetime, first: datetime, last: datetime) -> bool:
    """Whether all of it lies within: where midnight is not on the hour, the first and the last hour do not."""
    return first <= begins_at and (period == DAY or begins_at < last - _JUST_UNDER_AN_HOUR)


def _same(stored: Boards | Defects, counted: Boards | Defects) -> bool:
    # Sums of floats depend on the order of the terms.
    pairs = zip(astuple(stored), astuple(counted), strict=True)
    return all(math.isclose(was, now, rel_tol=1e-6, abs_tol=1e-6) for was, now in pairs)


def _days(calendar: Calendar, begin: datetime, end: datetime) -> tuple[datetime, datetime]:
    return calendar.day(begin), calendar.next_day(end - timedelta.resolution)


def _counted(connection: Connection, calendar: Calendar, first: datetime, last: datetime) -> Tally:
    total = tally(calendar, _inspections(connection, first, last))
    return Tally(
        {key: counts for key, counts in total.boards.items() if _whole(key[0], key[1], first, last)},
        {key: counts for key, counts in total.defects.items() if _whole(key[0], key[1], first, last)},
    )


def _inspections(connection: Connection, first: datetime, last: datetime) -> Iterator[Row]:
    columns = [getattr(Inspection, name) for name in ("inspection_time", "category", "status", "latency_ms", "boxes")]
    within = (Inspection.inspection_time >= first, Inspection.inspection_time < last)
    for row in connection.execute(select(*columns).where(*within).execution_options(yield_per=1000)):
        yield row._asdict()


def _stored(connection: Connection, first: datetime, last: datetime) -> Tally:
    within = (BoardStatistics.begins_at >= first, BoardStatistics.begins_at < last)
    boards = connection.execute(select(BoardStatistics.__table__).where(*within))
    within = (DefectStatistics.begins_at >= first, DefectStatistics.begins_at < last)
    defects = connection.execute(select(DefectStatistics.__table__).where(*within))
    return Tally(
        {(row[0], row[1], row[2]): Boards(*row[3:]) for row in boards},
        {(row[0], row[1], row[2], row[3]): Defects(*row[4:]) for row in defects},
    )
