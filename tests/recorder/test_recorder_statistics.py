"""Hours and days, what is counted in them, and that drift is found."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select, update
from support.boards import AT, count, drift, side, verdict_record

from pcb_bus.contract.times import NS_PER_S
from recorder.batch import group
from recorder.periods import Calendar
from recorder.statistics import Boards, Defects, tally
from recorder.store import Store
from recorder.tables import BoardStatistics, DefectStatistics, Inspection

HOUR = 3600 * NS_PER_S
# Midnights that do not exist (Beirut, Sao Paulo), that come twice (Havana, St Johns), that are off the hour (Kolkata),
# and a day that was left out (Apia).
ZONES = (
    "UTC",
    "Asia/Seoul",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Beirut",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "Pacific/Apia",
    "Australia/Lord_Howe",
)
SECONDS = st.integers(631_152_000, 2_208_988_800)  # 1990 to 2040


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "moment", "begin"),
    [
        ("UTC", "2026-11-21T23:59:59.999Z", "2026-11-21T00:00Z"),
        ("Asia/Seoul", "2026-11-21T14:59:59Z", "2026-11-21T00:00+09:00"),
        ("Asia/Seoul", "2026-11-21T15:00:00Z", "2026-11-22T00:00+09:00"),
        ("Asia/Kolkata", "2026-11-21T18:29:59Z", "2026-11-21T00:00+05:30"),
        ("America/Sao_Paulo", "2018-11-04T12:00Z", "2018-11-04T01:00-02:00"),
        ("America/St_Johns", "2010-11-07T03:00Z", "2010-11-07T00:00-02:30"),
    ],
)
def test_a_day_begins_at_local_midnight(zone: str, moment: str, begin: str) -> None:
    assert Calendar(zone).day(at(moment)) == at(begin)


@pytest.mark.parametrize(("noon", "hours"), [("2026-03-29T10:00Z", 23), ("2026-10-25T11:00Z", 25)])
def test_a_day_of_a_clock_change_is_shorter_or_longer(noon: str, hours: int) -> None:
    berlin = Calendar("Europe/Berlin")
    assert berlin.next_day(at(noon)) - berlin.day(at(noon)) == timedelta(hours=hours)


@given(zone=st.sampled_from(ZONES), second=SECONDS)
def test_days_follow_each_other_without_gap_or_overlap(zone: str, second: int) -> None:
    calendar, moment = Calendar(zone), datetime.fromtimestamp(second, UTC)
    begin, end = calendar.day(moment), calendar.next_day(moment)
    assert begin <= moment < end
    assert timedelta(hours=22) < end - begin <= timedelta(hours=26)
    assert (calendar.day(begin), calendar.day(end), calendar.day(end - timedelta.resolution)) == (begin, end, begin)


def test_a_board_counts_in_its_hour_and_its_day() -> None:
    rows = [verdict_record(1).row, verdict_record(2, at=AT + HOUR, latency_ms=50.5, status="incomplete").row]
    total = tally(Calendar("Asia/Seoul"), rows)
    day = at("2026-11-21T00:00+09:00")
    assert total.boards == {
        ("hour", at("2026-11-21T08:00Z"), "solder"): Boards(1, 0, 41.5, 41.5),
        ("hour", at("2026-11-21T09:00Z"), "solder"): Boards(1, 1, 50.5, 50.5),
        ("day", day, "solder"): Boards(2, 1, 92.0, 50.5),
    }
    assert total.defects["day", day, "left", "short"] == Defects(boxes=4, boards=2)
    assert total.defects["day", day, "left", "spur"] == Defects(boxes=2, boards=2)


def test_what_is_written_is_added_and_repeats_are_not(engine: Engine) -> None:
    store = Store(engine)
    slow = verdict_record(2, latency_ms=99.5, sides={"right": side("right", ["short"])})
    for batch in ([verdict_record(1)], [verdict_record(1), slow], [slow, verdict_record(3, "normal")]):
        store.write(group(batch))
    with engine.connect() as connection:
        days = select(BoardStatistics.__table__).where(BoardStatistics.period == "day")
        day = at("2026-11-21T00:00Z")
        assert {tuple(row) for row in connection.execute(days)} == {
            ("day", day, "normal", 1, 0, 41.5, 41.5),
            ("day", day, "solder", 2, 0, 141.0, 99.5),
        }
        shorts = select(DefectStatistics.camera_id, DefectStatistics.boxes, DefectStatistics.boards).where(
            DefectStatistics.period == "hour", DefectStatistics.class_name == "short"
        )
        assert {tuple(row) for row in connection.execute(shorts)} == {("left", 4, 2), ("right", 1, 1)}
    assert drift(engine) == []


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_a_row_that_was_removed_is_found(engine: Engine, zone: str) -> None:
    calendar = Calendar(zone)
    Store(engine, calendar).write(group(verdict_record(number, at=AT + number * HOUR) for number in range(40)))
    assert drift(engine, calendar) == []
    with engine.begin() as connection:
        connection.execute(delete(Inspection).where(Inspection.verdict_id == "verdict-20"))
    found = drift(engine, calendar)
    assert {(item.period, item.of) for item in found} == {
        (period, of) for period in ("hour", "day") for of in (("solder",), ("left", "short"), ("left", "spur"))
    }
    boards = [item for item in found if item.of == ("solder",) and item.period == "hour"]
    assert [(item.begins_at, item.stored, item.counted) for item in boards] == [
        (at("2026-11-22T04:00Z"), Boards(1, 0, 41.5, 41.5), Boards())
    ]


def test_a_count_that_is_wrong_is_found(engine: Engine) -> None:
    Store(engine).write(group([verdict_record(1)]))
    with engine.begin() as connection:
        hours = DefectStatistics.period == "hour"
        connection.execute(update(DefectStatistics).where(hours).values(boxes=DefectStatistics.boxes + 1))
    assert [item.of for item in drift(engine)] == [("left", "short"), ("left", "spur")]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_statistics_are_rebuilt_for_another_time_zone(engine: Engine, zone: str) -> None:
    boards = [verdict_record(number, at=AT + number * HOUR) for number in range(60)]
    Store(engine, Calendar("Asia/Seoul")).write(group(boards))
    elsewhere = Calendar(zone)
    assert drift(engine, elsewhere) != []
    store = Store(engine, elsewhere)
    store.rebuild_statistics(AT - 24 * HOUR, AT + 84 * HOUR)
    assert drift(engine, elsewhere) == []
    store.write(group([*boards, verdict_record(99, at=AT)]))
    assert drift(engine, elsewhere) == []


def test_a_rebuild_beside_a_writer_counts_each_board_once(engine: Engine) -> None:
    store = Store(engine)
    start = threading.Barrier(2)

    def write() -> None:
        start.wait()
        for number in range(30):
            store.write(group([verdict_record(number)]))

    def rebuild() -> None:
        start.wait()
        for _ in range(6):
            store.rebuild_statistics(AT, AT + HOUR)

    with ThreadPoolExecutor() as both:
        for done in [both.submit(action) for action in (write, rebuild)]:
            done.result()
    assert count(engine, Inspection) == 30
    assert drift(engine) == []
