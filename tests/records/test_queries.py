"""What screens read says what the rows say; it, and the queries of a WinForms client, use an index and sort no rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, insert, select, text, true
from support.filled_tables import BEGIN, LINE, SECOND_LINE, fill

from records.queries import (
    ClassCount,
    Count,
    Filter,
    boards,
    classes,
    count,
    days,
    details,
    history,
    hours,
    open_alerts,
)
from records.tables import Serial, Trigger

MANY = 4000
FIRST_DAY = date(2026, 11, 21)
MIDNIGHT = datetime.fromisoformat("2026-11-21 00:00:00")
HOUR = timedelta(hours=1)
SORTS = ("filesort", "TEMP B-TREE FOR ORDER BY", "TEMP B-TREE FOR LAST")
_PAGE = "SELECT id, camera_id, defect_type, confidence, inspection_time, image_path FROM inspections"
_NEWEST = "ORDER BY inspection_time DESC LIMIT 50"
_SPAN = "inspection_time >= '2026-11-21 02:00' AND inspection_time < '2026-11-21 03:00'"


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Some boards a minute apart."""
    fill(engine, 103, timedelta(minutes=1))
    return engine


def test_pages_are_newest_first_and_what_was_chosen(filled: Engine) -> None:
    with filled.connect() as connection:
        everything = boards(connection, Filter(), limit=1000)
        assert [row.id for row in everything] == list(range(100, 0, -1))
        assert [row.id for row in boards(connection, Filter(), limit=3, offset=50)] == [50, 49, 48]
        of_a_line = boards(connection, Filter(line=SECOND_LINE), limit=1000)
        assert {row.line for row in of_a_line} == {SECOND_LINE}
        for chosen, expected in {
            Filter(line=SECOND_LINE): 25,
            Filter(defect_type="납땜불량"): 20,
            Filter(category="solder"): 20,
            Filter(camera_id="both"): 60,
            Filter(product="display"): 50,
            Filter(board="SN-7"): 1,
            Filter(board="board-7"): 1,
            Filter(since=MIDNIGHT + HOUR): 40,
            Filter(until=MIDNIGHT + HOUR): 60,
            Filter(line=LINE, since=MIDNIGHT, until=MIDNIGHT + HOUR, defect_type="폐기"): 3,
        }.items():
            assert count(connection, chosen) == expected, chosen
            assert len(boards(connection, chosen, limit=1000)) == expected, chosen
    newest = everything[0]
    assert (newest.board_id, newest.inspection_time) == ("board-99", MIDNIGHT + timedelta(minutes=99))


def test_a_board_comes_with_all_that_belongs_to_it(filled: Engine) -> None:
    with filled.connect() as connection:
        found = details(connection, 10)
        assert details(connection, 1000) is None
    assert found is not None
    assert found.board.category == "scrap"
    assert [box["class"] for box in found.board.boxes] == ["short", "spur"]
    assert [(side.camera_id, side.category) for side in found.sides] == [("left", "scrap"), ("right", "normal")]
    assert [(each.class_name, each.x1) for each in found.defects] == [("short", 10.0), ("spur", 50.0)]
    assert [(each.path, each.state) for each in found.pictures] == [("9.jpg", "stored")]
    assert [each.outcome for each in found.gates] == ["late"]
    assert [(each.camera_id, each.serial) for each in found.serials] == [("left", "SN-9")]
    # Every pass that has a serial on any side is the history of one board.
    read = {"board_id": "b", "camera_id": "right", "serial": "SN-7", "symbology": "qr", "received_at": BEGIN}
    with filled.begin() as connection:
        for line, number in ((LINE, 20), (SECOND_LINE, 3), (LINE, 3)):
            connection.execute(insert(Serial).values(line=line, verdict_id=f"verdict-{number}", **read))
        assert [each.board_id for each in history(connection, "SN-7")] == ["board-20", "board-7", "board-3"]
        assert [each.board_id for each in history(connection, "SN-7", limit=1, offset=1)] == ["board-7"]
        assert history(connection, "sn-7") == []


def test_counts_are_those_of_the_statistics(filled: Engine) -> None:
    with filled.connect() as connection:
        of_hours = hours(connection, LINE, MIDNIGHT, MIDNIGHT + HOUR)
        of_days = days(connection, LINE, FIRST_DAY, FIRST_DAY)
        found = classes(connection, SECOND_LINE, FIRST_DAY, FIRST_DAY)
        assert days(connection, LINE, FIRST_DAY + timedelta(days=1), FIRST_DAY + timedelta(days=1)) == []
    assert sum(each.boards for each in of_hours) == 45
    assert sum(each.boards for each in of_days) == 75
    assert of_days[0] == Count(MIDNIGHT, "component", 10, 0)
    assert found == [ClassCount("short", "left", 10, 10), ClassCount("spur", "left", 10, 10)]


def test_open_alerts_are_those_that_nobody_resolved(filled: Engine) -> None:
    with filled.connect() as connection:
        assert [each.subject for each in open_alerts(connection)] == ["OVERDUE"]
        assert [each.subject for each in open_alerts(connection, LINE)] == ["OVERDUE"]
        assert open_alerts(connection, SECOND_LINE) == []


@contextmanager
def explained(connection: Connection) -> Iterator[list[str]]:
    """The plans of the statements within the block, as they stand there with their parameters."""
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN FORMAT=TRADITIONAL"
    plans: list[str] = []

    def look(_: object, cursor: Any, statement: str, parameters: Any, *__: object) -> None:
        if statement.startswith("SELECT"):
            cursor.execute(f"{explain} {statement}", parameters)
            plans.append("\n".join(map(str, cursor.fetchall())))

    event.listen(connection, "before_cursor_execute", look)
    yield plans
    event.remove(connection, "before_cursor_execute", look)


def _sql(statement: str) -> Callable[[Connection], int]:
    return lambda connection: len(connection.execute(text(statement)).all())


def _overdue(connection: Connection) -> int:
    wanted = Trigger.line == LINE, Trigger.open == true(), Trigger.received_at < BEGIN + timedelta(days=9)
    return len(connection.execute(select(Trigger.id).where(*wanted).order_by(Trigger.received_at)).all())


SERVED: dict[str, tuple[Callable[[Connection], int], int, str]] = {
    "page": (_sql(f"{_PAGE} {_NEWEST}"), 50, "ix_inspections_inspection_time"),
    "page of a type": (_sql(f"{_PAGE} WHERE defect_type = '폐기' {_NEWEST}"), 50, "ix_inspections_defect_type"),
    "page of a camera": (_sql(f"{_PAGE} WHERE camera_id = 'both' {_NEWEST}"), 50, "ix_inspections_"),
    "counts": (
        _sql(f"SELECT defect_type, COUNT(*) FROM inspections WHERE {_SPAN} GROUP BY defect_type"),
        4,
        "ix_inspections_inspection_time_defect_type",
    ),
    "counts of a day": (
        _sql("SELECT defect_type, COUNT(*) FROM inspections WHERE local_date = '2026-11-21' GROUP BY defect_type"),
        4,
        "ix_inspections_local_date_defect_type_line",
    ),
    "screen: page": (lambda connection: len(boards(connection, Filter())), 50, "ix_inspections_inspection_time"),
    "screen: page of a line": (
        lambda connection: len(boards(connection, Filter(line=SECOND_LINE))),
        50,
        "ix_inspections_",
    ),
    "screen: history of a serial": (lambda connection: len(history(connection, "SN-7")), 1, "ix_serials_serial"),
    "open triggers": (_overdue, 2, "ix_triggers_line_open_received_at"),
}


@pytest.mark.timeout(120)
def test_what_is_asked_often_is_served_by_an_index(engine: Engine) -> None:
    fill(engine, MANY)
    if engine.dialect.name == "mysql":
        with engine.begin() as connection:
            connection.execute(text("ANALYZE TABLE inspections, triggers")).all()
    with engine.connect() as connection:
        for name, (ask, expected, index) in SERVED.items():
            with explained(connection) as plans:
                assert ask(connection) == expected, name
            (plan,) = plans
            assert index in plan, (name, plan)
            if name.startswith("page"):  # a screen's fifty rows are sorted once more
                assert not any(sort in plan for sort in SORTS), (name, plan)
