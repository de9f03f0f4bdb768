"""Boards and defects by hour and day: counted here, added to the tables with the rows that they count.

A row counts by its `inspection_time`, `category`, `status`, `latency_ms` and `boxes`, whatever else it has.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Table, case, select
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import DeclarativeBase

from recorder.periods import DAY, Calendar
from recorder.rows import Row
from recorder.tables import BoardStatistics, DefectStatistics, Inspection

BoardKey = tuple[str, datetime, str]
"""Period, begin, category."""
DefectKey = tuple[str, datetime, str, str]
"""Period, begin, side, class."""
_BOARD_KEY = ("period", "begins_at", "category")
_DEFECT_KEY = ("period", "begins_at", "camera_id", "class_name")


@dataclass(slots=True)
class Boards:
    """Boards of one category in one period; latencies in ms."""

    boards: int = 0
    incomplete: int = 0
    latency_ms_sum: float = 0.0
    latency_ms_max: float = 0.0


@dataclass(slots=True)
class Defects:
    """Boxes of one class on one side in one period, and on how many boards they were."""

    boxes: int = 0
    boards: int = 0


@dataclass(slots=True)
class Tally:
    """What to add to the statistics."""

    boards: dict[BoardKey, Boards] = field(default_factory=dict)
    defects: dict[DefectKey, Defects] = field(default_factory=dict)


def tally(calendar: Calendar, rows: Iterable[Row], gone: Iterable[Row] = ()) -> Tally:
    """Count `rows`, and take back those of `gone`, which had neither latency nor boxes: boards without a verdict."""
    total = Tally()
    for row in rows:
        _count(total, calendar, row)
    for row in gone:
        for period, begins_at in calendar.periods(row["inspection_time"]):
            total.boards.setdefault((period, begins_at, row["category"]), Boards()).boards -= 1
    return total


def _count(total: Tally, calendar: Calendar, row: Row) -> None:
    boxes = _boxes_by_class(row)
    latency = row["latency_ms"] or 0.0
    for period, begins_at in calendar.periods(row["inspection_time"]):
        boards = total.boards.setdefault((period, begins_at, row["category"]), Boards())
        boards.boards += 1
        boards.incomplete += row["status"] == "incomplete"
        boards.latency_ms_sum += latency
        boards.latency_ms_max = max(boards.latency_ms_max, latency)
        for where, number in boxes.items():
            defects = total.defects.setdefault((period, begins_at, *where), Defects())
            defects.boxes += number
            defects.boards += 1


def _boxes_by_class(row: Row) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for box in row["boxes"]:
        where = box["camera_id"], box["class"]
        found[where] = found.get(where, 0) + 1
    return found


def add(connection: Connection, total: Tally) -> None:
    """Add `total` to the tables, in the transaction of the rows that it counts."""
    _upsert(connection, BoardStatistics, _BOARD_KEY, total.boards)
    _upsert(connection, DefectStatistics, _DEFECT_KEY, total.defects)


def _upsert(
    connection: Connection,
    kind: type[DeclarativeBase],
    key: Sequence[str],
    counts: Mapping[Any, Boards] | Mapping[Any, Defects],
) -> None:
    if counts:
        # In the order of their keys: two writers that lock the same rows wait for each other, but never in a ring.
        rows = [dict(zip(key, where, strict=True)) | asdict(counts[where]) for where in sorted(counts)]
        connection.execute(upsert_statement(connection.dialect.name, kind), rows)


@cache
def upsert_statement(dialect: str, kind: type[DeclarativeBase]) -> Insert:
    """An insert that adds to what is there, and keeps the greater of two maxima."""
    table = kind.__table__
    assert isinstance(table, Table)
    counted = [column for column in table.columns if not column.primary_key]
    if dialect == "sqlite":
        onto = sqlite.insert(table)
        new = onto.excluded
        return onto.on_conflict_do_update(
            index_elements=list(table.primary_key), set_={c.name: _together(c, new[c.name]) for c in counted}
        )
    added = mysql.insert(table)
    return added.on_duplicate_key_update({c.name: _together(c, added.inserted[c.name]) for c in counted})


def _together(old: ColumnElement[Any], new: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((new > old, new), else_=old) if str(new.key).endswith("_max") else old + new


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
    first, last = calendar.day(begin), calendar.next_day(end - timedelta(microseconds=1))
    counted = tally(calendar, _inspections(connection, first, last))
    stored = _stored(connection, first, last)
    found: list[Difference] = []
    for was, now in ((stored.boards, counted.boards), (stored.defects, counted.defects)):
        found += _differences(was, now, first, last)
    return found


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
    return first <= begins_at and (period == DAY or begins_at + timedelta(hours=1) <= last)


def _same(stored: Boards | Defects, counted: Boards | Defects) -> bool:
    # Sums of floats depend on the order of the terms.
    pairs = zip(astuple(stored), astuple(counted), strict=True)
    return all(math.isclose(was, now, rel_tol=1e-6, abs_tol=1e-6) for was, now in pairs)


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
