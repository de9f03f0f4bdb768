"""What is counted in an hour of the wall clock, when it is counted again, and that drift is found."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine, delete, select, update
from support.boards import AT, LINE, ZONE, count, drift, side, verdict_record

from pcb_bus.contract.times import NS_PER_S
from recorder.statistics import Counts, Difference, Statistics, counted, differences, touch_hours
from recorder.store import Store
from records.database import for_reading
from records.tables import BoardStatistics, DefectStatistics, Inspection, StatisticsHour, YieldStatistics

HOUR = 3600 * NS_PER_S
FIRST = datetime(2026, 11, 21, 17)  # noqa: DTZ001


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine, LINE, ZONE)


def boards(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(select(BoardStatistics.__table__).order_by(BoardStatistics.begins_at))
        return [tuple(row)[1:] for row in rows]


def settled(engine: Engine) -> bool:
    with engine.connect() as connection:
        waiting = select(StatisticsHour.begins_at).where(StatisticsHour.touched != StatisticsHour.counted)
        return not connection.scalars(waiting).all()


def test_a_board_counts_in_the_hour_that_the_clock_on_the_wall_showed(store: Store, engine: Engine) -> None:
    late = verdict_record(2, at=AT + HOUR, latency_ms=50.5, status="incomplete")
    store.write([verdict_record(1), late, verdict_record(3, "normal", latency_ms=99.5)])
    Statistics(engine, LINE).count_touched()
    assert sorted(boards(engine), key=str) == [
        (FIRST, "normal", 1, 0, 99.5, 99.5),
        (FIRST, "solder", 1, 0, 41.5, 41.5),
        (FIRST + timedelta(hours=1), "solder", 1, 1, 50.5, 50.5),
    ]
    with engine.connect() as connection:
        boxes = select(DefectStatistics.class_name, DefectStatistics.boxes, DefectStatistics.boards)
        first = connection.execute(boxes.where(DefectStatistics.begins_at == FIRST)).all()
    assert {tuple(row) for row in first} == {("short", 4, 2), ("spur", 2, 2)}
    assert settled(engine)


def test_boards_are_counted_by_product_model_and_side(store: Store, engine: Engine) -> None:
    many = [verdict_record(number, product="display") for number in range(2)]
    store.write(
        [*many, verdict_record(2, "normal"), verdict_record(3, latency_ms=99.5), verdict_record(4, at=AT + HOUR)]
    )
    Statistics(engine, LINE).count_touched()
    with engine.connect() as connection:
        rows = connection.execute(select(YieldStatistics.__table__).where(YieldStatistics.begins_at == FIRST)).all()
    assert sorted(tuple(row)[2:] for row in rows) == [
        ("", "starter", "both", "normal", 1),
        ("", "starter", "left", "solder", 1),
        ("display", "starter", "left", "solder", 2),
    ]
    assert [row[1:] for row in boards(engine)][:2] == [("normal", 1, 0, 41.5, 41.5), ("solder", 3, 0, 182.5, 99.5)]


def test_what_is_written_later_is_counted_and_repeats_are_not(store: Store, engine: Engine) -> None:
    slow = verdict_record(2, latency_ms=99.5, sides={"right": side("right", ["short"])})
    for batch in ([verdict_record(1)], [verdict_record(1), slow], [slow, verdict_record(3, "normal")]):
        store.write(batch)
        assert not settled(engine) or batch[0] is slow
        assert drift(engine) == []
    assert sorted(row[1:4] for row in boards(engine)) == [("normal", 1, 0), ("solder", 2, 0)]


def test_an_hour_that_comes_twice_in_autumn_is_one(engine: Engine) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = int(datetime.fromisoformat("2026-10-25T00:30+00:00").timestamp()) * NS_PER_S
    records = [verdict_record(number, at=first + number * HOUR, zone=berlin) for number in range(2)]
    Store(engine, LINE, berlin).write(records)
    assert drift(engine) == []
    assert [(row[0], row[2]) for row in boards(engine)] == [(datetime(2026, 10, 25, 2), 2)]  # noqa: DTZ001


@pytest.mark.parametrize("table", [BoardStatistics, DefectStatistics, YieldStatistics])
def test_what_was_spoiled_by_hand_is_found_and_counted_anew(
    store: Store, engine: Engine, table: type[BoardStatistics] | type[DefectStatistics] | type[YieldStatistics]
) -> None:
    store.write([verdict_record(number, at=AT + number * HOUR) for number in range(3)])
    assert drift(engine) == []
    second = FIRST + timedelta(hours=1)
    with engine.begin() as connection:
        connection.execute(update(table).where(table.begins_at == second).values(boards=7))
    found = drift(engine)
    assert {each.begins_at for each in found} == {second}
    if table is BoardStatistics:
        assert found == [Difference(second, ("solder",), (7, 0, 41.5, 41.5), (1, 0, 41.5, 41.5))]
    assert touch_hours(engine, LINE, second, second + timedelta(hours=1)) == 1
    assert drift(engine) == []


def test_rows_that_were_removed_or_never_counted_are_found(store: Store, engine: Engine) -> None:
    store.write([verdict_record(number, at=AT + number * HOUR) for number in range(3)])
    assert drift(engine) == []
    with engine.begin() as connection:
        connection.execute(delete(Inspection).where(Inspection.verdict_id == "verdict-1"))
        connection.execute(delete(BoardStatistics).where(BoardStatistics.begins_at == FIRST))
    assert {(each.begins_at.hour, each.of) for each in drift(engine)} == {
        (17, ("solder",)),
        (18, ("solder",)),
        (18, ("", "starter", "left", "solder")),
        (18, ("left", "short")),
        (18, ("left", "spur")),
    }


def test_an_hour_that_is_still_to_be_counted_is_no_difference(store: Store, engine: Engine) -> None:
    store.write([verdict_record(1)])
    with for_reading(engine).connect() as connection:
        assert list(differences(connection, LINE, FIRST, FIRST + timedelta(hours=1))) == []


def test_statistics_outlive_rows_that_are_gone_by_their_age(store: Store, engine: Engine) -> None:
    store.write([verdict_record(1), verdict_record(2, at=AT + HOUR)])
    assert drift(engine) == []
    with engine.begin() as connection:
        connection.execute(delete(Inspection).where(Inspection.verdict_id == "verdict-1"))
    assert touch_hours(engine, LINE, FIRST - timedelta(days=1), FIRST + timedelta(days=1)) == 1
    Statistics(engine, LINE).count_touched()
    assert [row[2] for row in boards(engine)] == [1, 1]


def test_an_hour_whose_boards_were_removed_by_hand_is_counted_anew(store: Store, engine: Engine) -> None:
    store.write([verdict_record(1), verdict_record(2, at=AT + HOUR)])
    assert drift(engine) == []
    with engine.begin() as connection:
        connection.execute(delete(Inspection))
    second = FIRST + timedelta(hours=1)
    assert touch_hours(engine, LINE, FIRST, FIRST + timedelta(days=1), second) == 1
    Statistics(engine, LINE).count_touched()
    assert [row[0] for row in boards(engine)] == [FIRST]


def test_what_is_written_while_an_hour_is_counted_is_counted_the_next_time(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write([verdict_record(1)])

    def write_meanwhile(connection: Connection, line: str, hour: datetime) -> Counts:
        counts = counted(connection, line, hour)
        monkeypatch.undo()
        store.write([verdict_record(2)])
        return counts

    monkeypatch.setattr("recorder.statistics.counted", write_meanwhile)
    Statistics(engine, LINE).count_touched()
    assert ([row[2] for row in boards(engine)], settled(engine)) == ([1], False)
    assert drift(engine) == []
    assert [row[2] for row in boards(engine)] == [2]


@pytest.mark.parametrize(("took", "rest"), [(0.2, 4), (8, 10)])
def test_an_hour_rests_twenty_times_as_long_as_its_count_took_but_not_for_long(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch, took: float, rest: float
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    statistics = Statistics(engine, LINE)
    original = statistics._count

    def slow_count(hour: datetime) -> None:
        original(hour)
        now[0] += took

    monkeypatch.setattr(statistics, "_count", slow_count)
    for number, (wait, in_statistics) in enumerate([(0, 1), (rest - 1, 1), (1.1, 3)]):
        store.write([verdict_record(number)])
        now[0] += wait
        statistics.count_touched()
        assert [row[2] for row in boards(engine)] == [in_statistics]


def test_old_hours_are_looked_at_every_ten_minutes(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    store.write([verdict_record(number, at=AT + number * HOUR) for number in range(49)])
    statistics = Statistics(engine, LINE)
    for latest, oldest, wait in ((1, 1, 0), (2, 1, 599), (2, 2, 1)):
        now[0] += wait
        statistics.count_touched()
        counted_now = boards(engine)
        assert (counted_now[0][2], counted_now[-1][2]) == (oldest, latest)
        store.write([verdict_record(number, at=AT + number % 100 * HOUR) for number in (100, 148)])


def test_a_count_beside_writers_counts_each_board_once(store: Store, engine: Engine) -> None:
    start = threading.Barrier(2)

    def write() -> None:
        start.wait()
        for number in range(30):
            store.write([verdict_record(number)])

    def count_all() -> None:
        start.wait()
        for _ in range(10):
            Statistics(engine, LINE).count_touched()

    with ThreadPoolExecutor() as both:
        for done in [both.submit(action) for action in (write, count_all)]:
            done.result()
    assert count(engine, Inspection) == 30
    assert drift(engine) == []
    assert [row[2] for row in boards(engine)] == [30]
