"""Announced boards: open until they are inspected, missing when no verdict comes, completed when it comes after all."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session
from support.boards import AT, MINUTE, count, drift, side, trigger_record, verdict_record

from pcb_bus.contract.times import to_datetime
from recorder.batch import ImageRecord, Record, group
from recorder.inspections import NO_VERDICT
from recorder.store import Overdue, Store
from recorder.tables import BoardStatistics, Inspection, InspectionSide, Trigger

LABEL = "미판정"
DEADLINE = MINUTE
LATER = AT + 2 * MINUTE


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine, unjudged=LABEL)


def open_triggers(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(select(Trigger.verdict_id).where(Trigger.open)))


def the_row(engine: Engine) -> Inspection:
    with Session(engine) as session:
        return session.scalars(select(Inspection)).one()


def boards_by_category(engine: Engine) -> dict[str, int]:
    """Of the days, without those of no boards."""
    with engine.connect() as connection:
        days = select(BoardStatistics.category, BoardStatistics.boards).where(BoardStatistics.period == "day")
        return {category: boards for category, boards in connection.execute(days) if boards}


def picture(camera_id: str) -> ImageRecord:
    fields = {"verdict_id": "verdict-1", "board_id": "board-1", "camera_id": camera_id, "sha256": "a" * 64}
    size = {"width": 640, "height": 480, "size_bytes": 9}
    return ImageRecord({**fields, **size, "kind": "frame", "path": f"{camera_id}.jpg", "received_at": to_datetime(AT)})


def test_a_trigger_is_open_until_its_verdict_comes(store: Store, engine: Engine) -> None:
    store.write(group([trigger_record(1), trigger_record(2)]))
    assert open_triggers(engine) == {"verdict-1", "verdict-2"}
    store.write(group([verdict_record(1), trigger_record(1)]))
    assert open_triggers(engine) == {"verdict-2"}


@pytest.mark.parametrize(
    "batches",
    [
        [[trigger_record(1), verdict_record(1)]],
        [[verdict_record(1)], [trigger_record(1)], [trigger_record(1)]],
        [[trigger_record(1)], [verdict_record(1)], [trigger_record(1)]],
    ],
    ids=["together", "verdict first", "trigger first and again"],
)
def test_in_any_order_an_inspected_pass_is_closed(
    store: Store, engine: Engine, batches: Iterable[list[Record]]
) -> None:
    for batch in batches:
        store.write(group(batch))
    assert open_triggers(engine) == set()
    assert count(engine, Trigger) == 1


def test_before_the_deadline_nothing_is_missing(store: Store, engine: Engine) -> None:
    store.write(group([trigger_record(1)]))
    assert store.close_overdue(AT + DEADLINE, DEADLINE) == []
    assert open_triggers(engine) == {"verdict-1"}


def test_a_board_without_a_verdict_is_unjudged_and_says_why(store: Store, engine: Engine) -> None:
    store.write(group([trigger_record(1)]))
    assert store.close_overdue(LATER, DEADLINE) == [Overdue("verdict-1", "board-1", AT)]
    row = the_row(engine)
    assert (row.status, row.category, row.defect_type, row.camera_id) == ("missing", "unjudged", LABEL, "both")
    assert (row.confidence, row.boxes, row.judged_at, row.notes) == (0.0, [], None, NO_VERDICT)
    assert (row.inspection_time, row.received_at) == (to_datetime(AT), to_datetime(LATER))
    assert open_triggers(engine) == set()
    assert boards_by_category(engine) == {"unjudged": 1}
    assert store.close_overdue(LATER, DEADLINE) == []


def test_a_trigger_left_open_beside_its_inspection_is_closed_without_an_alarm(store: Store, engine: Engine) -> None:
    store.write(group([trigger_record(1), verdict_record(1)]))
    with engine.begin() as connection:
        connection.execute(update(Trigger).values(open=True))
    assert store.close_overdue(LATER, DEADLINE) == []
    assert open_triggers(engine) == set()
    assert (count(engine, Inspection), boards_by_category(engine)) == (1, {"solder": 1})


def test_many_are_closed_a_part_at_a_time_oldest_first(store: Store, engine: Engine) -> None:
    store.write(group(trigger_record(number, AT - number) for number in range(700)))
    first = store.close_overdue(LATER, DEADLINE)
    second = store.close_overdue(LATER, DEADLINE)
    assert (len(first), len(second), store.close_overdue(LATER, DEADLINE)) == (500, 200, [])
    assert {overdue.board_id for overdue in first + second} == {f"board-{number}" for number in range(700)}
    assert drift(engine) == []


def test_a_verdict_after_the_deadline_completes_the_row(store: Store, engine: Engine) -> None:
    store.write(group([trigger_record(1, AT - 60 * MINUTE), picture("right")]))
    store.close_overdue(LATER, DEADLINE)
    missing = the_row(engine)
    assert missing.image_path == "right.jpg"
    store.write(group([picture("left"), verdict_record(1, serial="SN-7")]))
    row = the_row(engine)
    assert (row.id, row.status, row.category, row.serial) == (missing.id, "ok", "solder", "SN-7")
    assert (row.inspection_time, row.latency_ms, row.notes) == (to_datetime(AT), 41.5, None)
    assert (row.image_path, len(row.boxes), count(engine, InspectionSide)) == ("left.jpg", 3, 2)
    assert boards_by_category(engine) == {"solder": 1}
    assert drift(engine) == []


def test_of_two_verdicts_on_a_missing_board_the_first_stands(store: Store, engine: Engine) -> None:
    store.write(group([trigger_record(1)]))
    store.close_overdue(LATER, DEADLINE)
    store.write(group([verdict_record(1)]))
    store.write(group([verdict_record(1, "scrap", sides={"left": side("left")})]))
    assert (the_row(engine).category, count(engine, InspectionSide)) == ("solder", 2)
    assert boards_by_category(engine) == {"solder": 1}


def test_what_a_person_noted_of_a_missing_board_stays(store: Store, engine: Engine) -> None:
    store.write(group([trigger_record(1)]))
    store.close_overdue(LATER, DEADLINE)
    with engine.begin() as connection:
        connection.execute(update(Inspection).values(notes="held it in my hand"))
    store.write(group([verdict_record(1)]))
    assert the_row(engine).notes == "held it in my hand"


def test_a_picture_that_was_removed_is_not_linked(store: Store, engine: Engine) -> None:
    removed = picture("left")
    removed.row["removed_at"] = to_datetime(AT)
    store.write(group([removed]))
    store.write(group([verdict_record(1)]))
    assert the_row(engine).image_path is None


def test_writers_at_once_leave_one_row_a_board_and_count_it_once(store: Store, engine: Engine) -> None:
    """Two recorders with the same verdicts while the overdue are closed: the unique key decides."""
    boards = range(300)
    store.write(group(trigger_record(number) for number in boards))
    start = threading.Barrier(3)

    def write() -> None:
        start.wait()
        for first in range(0, len(boards), 20):
            store.write(group(verdict_record(number) for number in boards[first : first + 20]))

    def close() -> None:
        start.wait()
        for _ in boards[::20]:
            store.close_overdue(LATER, DEADLINE)

    with ThreadPoolExecutor() as writers:
        for writer in [writers.submit(action) for action in (close, write, write)]:
            writer.result()
    assert (count(engine, Inspection), count(engine, InspectionSide)) == (len(boards), 2 * len(boards))
    assert open_triggers(engine) == set()
    assert boards_by_category(engine) == {"solder": len(boards)}
    assert drift(engine) == []


def test_a_day_later_the_deadline_is_still_counted_from_the_receipt(store: Store) -> None:
    late = trigger_record(1)
    late.row["received_at"] = to_datetime(AT) + timedelta(days=1)
    store.write(group([late]))
    assert store.close_overdue(LATER, DEADLINE) == []
