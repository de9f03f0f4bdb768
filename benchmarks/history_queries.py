"""What the WinForms client, the dashboard and the recorder ask of a year of rows, and the index that must serve it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Executable, text

from recorder.reconcile.findings import Span
from recorder.reconcile.queries import count, gap_queries
from recorder.triggers import overdue

COLUMNS = "id, camera_id, defect_type, confidence, inspection_time, image_path"
PAGE = 50
_NEWEST = "ORDER BY inspection_time DESC, id DESC"
_BY_TIME = ("ix_inspections_inspection_time", "ix_inspections_inspection_time_defect_type")
_BY_DEFECT = ("ix_inspections_defect_type_inspection_time",)


@dataclass(frozen=True, slots=True)
class Query:
    """`run` asks it. Without `indexes` any will do, but no table may be read from end to end."""

    name: str
    run: Callable[[Connection], object]
    indexes: tuple[str, ...] = ()


def queries(end: datetime, middle: tuple[datetime, int]) -> list[Query]:
    """All of them, for rows that end at `end`; `middle` is the time and id of the row before page 1000."""
    return [*_pages(middle), *_filtered(), *_counts(end), *_statistics(end), *_recorder(end)]


def _pages(middle: tuple[datetime, int]) -> Iterator[Query]:
    moment, last_id = middle
    after = "WHERE inspection_time <= :moment AND (inspection_time < :moment OR id < :last_id)"
    yield _page("first page", "", _BY_TIME)
    yield _page("page 1000 by OFFSET", "", _BY_TIME, offset=999 * PAGE)
    yield _page("page 1000 by key", after, _BY_TIME, moment=moment, last_id=last_id)


def _filtered() -> Iterator[Query]:
    by_defect, by_camera = "WHERE defect_type = :wanted", "WHERE camera_id = :wanted"
    yield _page("of a frequent defect_type", by_defect, _BY_DEFECT + _BY_TIME, wanted="정상")
    yield _page("of a rare defect_type", by_defect, _BY_DEFECT, wanted="미판정")
    yield _page("of a defect_type, page 100", by_defect, _BY_DEFECT, offset=99 * PAGE, wanted="납땜불량")
    yield _page("of a camera_id", by_camera, _BY_TIME, wanted="left")
    board = f"SELECT {COLUMNS} FROM inspections WHERE board_id = :board {_NEWEST}"
    yield _query("of a board_id", board, ("ix_inspections_board_id",), board="board-000001234")


def _counts(end: datetime) -> Iterator[Query]:
    counts = (
        "SELECT defect_type, COUNT(*) FROM inspections"
        " WHERE inspection_time >= :since AND inspection_time < :until GROUP BY defect_type"
    )
    # Over a whole year either index that holds both columns serves.
    for name, days in {"day": 1, "month": 30, "year": 365}.items():
        covering = (_BY_TIME[1], *_BY_DEFECT)
        yield _query(f"counts of a {name}", counts, covering, since=end - timedelta(days=days), until=end)


def _statistics(end: datetime) -> Iterator[Query]:
    for table in ("board_statistics", "defect_statistics"):
        hours = f"SELECT * FROM {table} WHERE period = :period AND begins_at >= :since AND begins_at < :until"
        for period, days in {"hour": 1, "day": 365}.items():
            since = end - timedelta(days=days)
            name = f"{table}, {period}s of {days} d"
            yield _query(name, hours, ("PRIMARY",), period=period, since=since, until=end)


def _recorder(end: datetime) -> Iterator[Query]:
    late = end + timedelta(hours=1)
    yield Query("open triggers", lambda connection: overdue(connection, late, 500), ("ix_triggers_open_received_at",))
    hour = Span(end - timedelta(hours=1), end)
    yield Query("reconciliation, counts of an hour", lambda connection: count(connection, hour))
    for kind, query in gap_queries(gates=True, triggers=True).items():
        yield Query(f"reconciliation, {kind}", _reader(query(hour)))


def _page(name: str, where: str, indexes: tuple[str, ...], offset: int = 0, **values: object) -> Query:
    statement = f"SELECT {COLUMNS} FROM inspections {where} {_NEWEST} LIMIT {PAGE} OFFSET {offset}"
    return _query(f"page: {name}", statement, indexes, **values)


def _query(name: str, statement: str, indexes: tuple[str, ...], **values: object) -> Query:
    return Query(name, lambda connection: connection.execute(text(statement), values).all(), indexes)


def _reader(statement: Executable) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(statement).all()
