"""Boards and defects by hour and day: counted here, added to the tables with the rows that they count.

A row counts by its `inspection_time`, `category`, `status`, `latency_ms` and `boxes`, whatever else it has.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Table, case
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.orm import DeclarativeBase

from recorder.periods import Calendar
from recorder.rows import Row
from recorder.tables import BoardStatistics, DefectStatistics

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
    # Every zone's offset is in whole minutes, and so are the begins of its days.
    of_minute = cache(lambda minute: tuple(calendar.periods(minute)))
    for row in rows:
        _count(total, of_minute(_minute(row)), row)
    for row in gone:
        for period, begins_at in of_minute(_minute(row)):
            total.boards.setdefault((period, begins_at, row["category"]), Boards()).boards -= 1
    return total


def _minute(row: Row) -> datetime:
    moment: datetime = row["inspection_time"]
    return moment.replace(second=0, microsecond=0)


def _count(total: Tally, periods: Iterable[tuple[str, datetime]], row: Row) -> None:
    boxes = _boxes_by_class(row)
    latency = row["latency_ms"] or 0.0
    for period, begins_at in periods:
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
