"""What screens read: functions that take a connection and return typed rows; those of details are of no session.

Times that are asked for are those of the line's wall clock.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Date, Select, Subquery, and_, extract, func, or_, select, text, union

from records.tables import (
    Actuation,
    Alert,
    Base,
    BoardStatistics,
    Defect,
    DefectImage,
    DefectStatistics,
    Inspection,
    InspectionSide,
    Serial,
)

T = TypeVar("T", bound=Base)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which boards: `since` to before `until`; `board` is a serial or a board's id. None: any.

    `shift` is a time of the day, as (22:00, 6:00), of each day of that span; `class_name` is that of a box on any side;
    `serial` was read on any side: every pass of that board.
    """

    line: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    category: str | None = None
    defect_type: str | None = None
    camera_id: str | None = None
    product: str | None = None
    board: str | None = None
    serial: str | None = None
    class_name: str | None = None
    status: str | None = None
    model: str | None = None
    shift: tuple[time, time] | None = None


class Board(NamedTuple):
    """A line of a page: what a list of boards shows."""

    id: int
    line: str
    board_id: str
    serial: str | None
    product: str | None
    camera_id: str
    defect_type: str
    category: str
    confidence: float
    inspection_time: datetime
    image_path: str | None
    status: str


BOARD = tuple(getattr(Inspection, name) for name in Board._fields)


class Details(NamedTuple):
    """A board with all that belongs to it."""

    board: Inspection
    sides: list[InspectionSide]
    defects: list[Defect]
    pictures: list[DefectImage]
    gates: list[Actuation]
    serials: list[Serial]


class Count(NamedTuple):
    """Boards of a category in the hour or day that begins then."""

    begins_at: datetime
    category: str
    boards: int
    incomplete: int


class ClassCount(NamedTuple):
    """Boxes of a class on a side, and on how many boards they were."""

    class_name: str
    camera_id: str
    boxes: int
    boards: int


def boards(connection: Connection, chosen: Filter, limit: int = 50, offset: int = 0) -> list[Board]:
    """A page of them, newest first."""
    newest = Inspection.inspection_time.desc(), Inspection.id.desc()
    # The ids alone come from an index: far pages do not read the rows before them.
    ids = select(Inspection.id).where(*where(chosen)).order_by(*newest).limit(limit).offset(offset).subquery()
    found = select(*BOARD).join(ids, ids.c.id == Inspection.id).order_by(*newest)
    return [Board(*row) for row in connection.execute(found)]


def history(connection: Connection, serial: str, limit: int = 50, offset: int = 0) -> list[Board]:
    """A page of the passes of the board that has this serial on any side: of every line, newest first."""
    newest = Inspection.captured_at.desc(), Inspection.id.desc()
    ids = _passes(serial)
    found = select(*BOARD).join(ids, ids.c.id == Inspection.id).order_by(*newest).limit(limit).offset(offset)
    return [Board(*row) for row in connection.execute(found)]


def count(connection: Connection, chosen: Filter, most: int | None = None) -> int:
    """How many there are, counted up to `most`. Millions take a second; `total` knows all of a line."""
    if most is None:
        return connection.scalar(select(func.count()).select_from(Inspection).where(*where(chosen))) or 0
    some = select(Inspection.id).where(*where(chosen)).limit(most).subquery()
    return connection.scalar(select(func.count()).select_from(some)) or 0


def total(connection: Connection, line: str | None = None) -> int:
    """All boards that were ever counted, also those whose rows are gone by their age."""
    counted = select(func.sum(BoardStatistics.boards))
    return int(connection.scalar(counted if line is None else counted.where(BoardStatistics.line == line)) or 0)


def details(connection: Connection, inspection_id: int) -> Details | None:
    """None: there is no such row."""
    found = _rows(connection, Inspection, select(Inspection).where(Inspection.id == inspection_id))
    if not found:
        return None
    (board,) = found

    def belonging(table: type[T], **keys: object) -> list[T]:
        return _rows(connection, table, select(table).filter_by(**keys).order_by(text("id")))

    passed = {"line": board.line, "verdict_id": board.verdict_id}
    return Details(
        board,
        belonging(InspectionSide, inspection_id=board.id),
        belonging(Defect, inspection_id=board.id),
        belonging(DefectImage, **passed),
        belonging(Actuation, **passed),
        belonging(Serial, **passed),
    )


def hours(connection: Connection, line: str, since: datetime, until: datetime) -> list[Count]:
    """Boards by category of the hours that begin in that time, oldest first."""
    table = BoardStatistics
    within = table.line == line, table.begins_at >= since, table.begins_at < until
    found = (
        select(table.begins_at, table.category, table.boards, table.incomplete)
        .where(*within)
        .order_by(table.begins_at, table.category)
    )
    return [Count(*row) for row in connection.execute(found)]


class Newest(NamedTuple):
    """One of the last boards of a line."""

    verdict_id: str
    board_id: str
    serial: str | None
    product: str | None
    category: str
    captured_at: datetime
    boxes: list[dict[str, Any]]


def newest(connection: Connection, line: str, limit: int) -> list[Newest]:
    """The last boards of a line, newest first."""
    columns = (getattr(Inspection, name) for name in Newest._fields)
    order = Inspection.inspection_time.desc(), Inspection.id.desc()
    found = select(*columns).where(Inspection.line == line).order_by(*order).limit(limit)
    return [Newest(*row) for row in connection.execute(found)]


def tally(connection: Connection, line: str, since: datetime, before: datetime) -> dict[str, int]:
    """Boards by category, taken from the wall time `since` to before the moment `before`; counted from their rows."""
    within = Inspection.line == line, Inspection.inspection_time >= since, Inspection.captured_at < before
    found = select(Inspection.category, func.count()).where(*within).group_by(Inspection.category)
    return {category: int(boards) for category, boards in connection.execute(found)}


def totals(connection: Connection, line: str) -> dict[str, int]:
    """All boards by category, as the statistics have counted them."""
    table = BoardStatistics
    sums = select(table.category, func.sum(table.boards)).where(table.line == line).group_by(table.category)
    return {category: int(boards) for category, boards in connection.execute(sums)}


def days(connection: Connection, line: str, first: date, last: date) -> list[Count]:
    """Boards by category of the days from `first` to `last`, oldest first."""
    table = BoardStatistics
    day = func.date(table.begins_at, type_=Date)
    sums = select(day, table.category, func.sum(table.boards), func.sum(table.incomplete))
    found = sums.where(*_days(table, line, first, last)).group_by(day, table.category).order_by(day, table.category)
    return [
        Count(datetime.combine(begin, time()), category, int(boards), int(incomplete))
        for begin, category, boards, incomplete in connection.execute(found)
    ]


def classes(connection: Connection, line: str, first: date, last: date) -> list[ClassCount]:
    """Defects by class and side of the days from `first` to `last`, the most frequent first."""
    table = DefectStatistics
    boxes = func.sum(table.boxes)
    sums = select(table.class_name, table.camera_id, boxes, func.sum(table.boards))
    found = sums.where(*_days(table, line, first, last)).group_by(table.class_name, table.camera_id)
    ordered = found.order_by(boxes.desc(), table.class_name, table.camera_id)
    return [
        ClassCount(name, side, int(boxes), int(boards)) for name, side, boxes, boards in connection.execute(ordered)
    ]


def open_alerts(connection: Connection, line: str | None = None) -> list[Alert]:
    """Those that nobody has resolved, newest first."""
    found = select(Alert).where(Alert.resolved_at.is_(None)).order_by(Alert.id.desc())
    return _rows(connection, Alert, found if line is None else found.where(Alert.line == line))


def _rows(connection: Connection, table: type[T], query: Select[Any]) -> list[T]:
    return [table(**row) for row in connection.execute(query).mappings()]


def where(chosen: Filter) -> list[ColumnElement[bool]]:
    """What the rows of `inspections` must be."""
    row = Inspection
    wanted = {
        row.line: chosen.line,
        row.category: chosen.category,
        row.defect_type: chosen.defect_type,
        row.camera_id: chosen.camera_id,
        row.product: chosen.product,
        row.status: chosen.status,
        row.model: chosen.model,
    }
    found: list[ColumnElement[bool]] = [column == value for column, value in wanted.items() if value is not None]
    found += _span(row.inspection_time, chosen)
    if chosen.board is not None:
        found.append(or_(row.board_id == chosen.board, row.serial == chosen.board))
    if chosen.serial is not None:
        found.append(row.id.in_(select(_passes(chosen.serial).c.id)))
    if chosen.class_name is not None:
        boxes = select(Defect.inspection_id).where(Defect.class_name == chosen.class_name)
        found.append(row.id.in_(boxes.where(*_span(Defect.inspection_time, chosen))))
    if chosen.shift is not None:
        minute = extract("hour", row.inspection_time) * 60 + extract("minute", row.inspection_time)
        begin, end = (each.hour * 60 + each.minute for each in chosen.shift)
        within = minute >= begin, minute < end
        found.append(and_(*within) if begin < end else or_(*within))
    return found


def _span(moment: Any, chosen: Filter) -> list[ColumnElement[bool]]:
    since = [] if chosen.since is None else [moment >= chosen.since]
    return since if chosen.until is None else [*since, moment < chosen.until]


def _passes(serial: str) -> Subquery:
    """The ids of the passes on which this serial was read, on any side."""
    same_pass = (Serial.line == Inspection.line) & (Serial.verdict_id == Inspection.verdict_id)
    named = select(Inspection.id).where(Inspection.serial == serial)
    return union(named, select(Inspection.id).join(Serial, same_pass).where(Serial.serial == serial)).subquery()


def _days(table: Any, line: str, first: date, last: date) -> tuple[ColumnElement[bool], ...]:
    end = datetime.combine(last, time()) + timedelta(days=1)
    return table.line == line, table.begins_at >= datetime.combine(first, time()), table.begins_at < end
