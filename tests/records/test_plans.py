"""The queries of those who read the tables themselves, and the recorder's own, use an index and sort no rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text
from support.boards import AT, trigger_record, verdict_record

from pcb_bus.contract.times import NS_PER_S, to_datetime
from recorder.bulk import insert_rows
from recorder.rows import Row
from recorder.tables import Inspection, Trigger
from recorder.triggers import overdue

BOARDS = 4000
SPACING = 10 * NS_PER_S
PAGE = "SELECT id, camera_id, defect_type, confidence, inspection_time, image_path FROM inspections"
NEWEST = "ORDER BY inspection_time DESC LIMIT 50"
PAGES = {
    f"{PAGE} {NEWEST}": "inspection_time",
    f"{PAGE} {NEWEST} OFFSET 100": "inspection_time",
    f"{PAGE} WHERE inspection_time < :until {NEWEST}": "inspection_time",
    f"{PAGE} WHERE inspection_time <= :until AND (inspection_time < :until OR id < 2000)"
    " ORDER BY inspection_time DESC, id DESC LIMIT 50": "inspection_time",
    f"{PAGE} WHERE defect_type = '폐기' {NEWEST}": "defect_type_inspection_time",
    f"{PAGE} WHERE defect_type = '폐기' {NEWEST} OFFSET 100": "defect_type_inspection_time",
    f"{PAGE} WHERE defect_type = '폐기' AND inspection_time < :until {NEWEST}": "defect_type_inspection_time",
}
COUNTS = (
    "SELECT defect_type, COUNT(*) FROM inspections"
    " WHERE inspection_time >= :since AND inspection_time < :until GROUP BY defect_type"
)
SPAN = {"since": str(to_datetime(AT))[:23], "until": str(to_datetime(AT + 500 * SPACING))[:23]}
_TEMPLATE = verdict_record(0).row
SORTS = ("filesort", "TEMP B-TREE FOR ORDER BY", "TEMP B-TREE FOR LAST")


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Boards of half a day, one in ten of them scrap."""
    rows = [_board(number) for number in range(BOARDS)]
    triggers = [trigger_record(number, AT + number * SPACING).row | {"open": number > 3900} for number in range(BOARDS)]
    with engine.begin() as connection:
        insert_rows(connection, Inspection, rows)
        insert_rows(connection, Trigger, triggers)
    if engine.dialect.name == "mysql":
        with engine.begin() as connection:
            connection.execute(text("ANALYZE TABLE inspections, triggers")).all()
    return engine


def _board(number: int) -> Row:
    defect_type = "폐기" if number % 10 == 0 else "정상"
    changes = {"verdict_id": f"verdict-{number}", "defect_type": defect_type}
    return _TEMPLATE | changes | {"inspection_time": to_datetime(AT + number * SPACING)}


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


def reads_whole_table(plan: str) -> bool:
    return "'ALL'" in plan or ("SCAN " in plan and "INDEX" not in plan)


def test_pages_of_rows_come_in_the_order_of_an_index(filled: Engine) -> None:
    with filled.connect() as connection:
        for query, index in PAGES.items():
            with explained(connection) as plans:
                rows = connection.execute(text(query), SPAN if ":until" in query else {}).all()
            assert len(rows) == 50, query
            (plan,) = plans
            assert f"ix_inspections_{index}" in plan, query
            assert not reads_whole_table(plan), query
            assert not any(sort in plan for sort in SORTS), query


def test_counts_between_two_dates_read_an_index_alone(filled: Engine) -> None:
    with filled.connect() as connection, explained(connection) as plans:
        counts = [tuple(row) for row in connection.execute(text(COUNTS), SPAN)]
    assert set(counts) == {("정상", 450), ("폐기", 50)}
    (plan,) = plans
    assert "ix_inspections_inspection_time_defect_type" in plan
    assert "Using index" in plan or "COVERING INDEX" in plan


def test_overdue_triggers_are_found_without_those_that_are_closed(filled: Engine) -> None:
    limit: datetime = to_datetime(AT) + timedelta(days=1)
    with filled.connect() as connection, explained(connection) as plans:
        assert len(overdue(connection, limit, 500)) == BOARDS - 3901
    (plan,) = plans
    assert "ix_triggers_open_received_at" in plan
    assert not reads_whole_table(plan)
    assert not any(sort in plan for sort in SORTS)
