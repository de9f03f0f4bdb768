"""Pages by key, a board's story, files of all boards, and the figures of a period, on each database."""

import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, delete, insert, update
from support.filled_tables import BEGIN, LINE, SECOND_LINE, ZONE, fill
from support.mariadb import MariaDb

from records.database import database_url, make_engine
from records.figures import groups, places
from records.history import Key, export, page, story
from records.migrate import bring_up_to_date
from records.queries import Filter, count, total
from records.reviewing import Decision, decide, undo
from records.tables import Defect, DefectImage, Inspection, Serial, User

MIDNIGHT = datetime.fromisoformat("2026-11-21 00:00:00")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """100 boards a minute apart, with ids from 1 on."""
    text = f"sqlite:///{tmp_path_factory.mktemp('records') / 'records.db'}"
    if request.param == "mariadb":
        server: MariaDb = request.getfixturevalue("_mariadb_server")
        server.start()
        text = server.fresh_database()
    bring_up_to_date(database_url(text), LINE, ZONE)
    engine = make_engine(database_url(text))
    fill(engine, 103, MINUTE)
    yield engine
    engine.dispose()


@pytest.fixture
def connection(filled: Engine) -> Iterator[Connection]:
    """A transaction that is taken back."""
    with filled.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


# pages


def every_id(connection: Connection, chosen: Filter, limit: int) -> tuple[list[int], list[int]]:
    """From page to page to the oldest board, and back again."""
    there, here = [], page(connection, chosen, limit)
    there += [each.id for each in here.boards]
    while here.older is not None:
        here = page(connection, chosen, limit, older=here.older)
        there += [each.id for each in here.boards]
    back = [each.id for each in here.boards]
    while here.newer is not None:
        here = page(connection, chosen, limit, newer=here.newer)
        back = [each.id for each in here.boards] + back
    return there, back


@pytest.mark.parametrize("limit", [7, 99, 100])
def test_from_page_to_page_each_board_comes_once_in_both_directions(connection: Connection, limit: int) -> None:
    # All at one time in the middle: then the id decides.
    same = Inspection.id.between(40, 60)
    connection.execute(update(Inspection).where(same).values(inspection_time=MIDNIGHT + 45 * MINUTE))
    there, back = every_id(connection, Filter(), limit)
    assert there == back
    assert sorted(there) == list(range(1, 101))
    times = [each.inspection_time for each in page(connection, Filter(), 1000).boards]
    assert times == sorted(times, reverse=True)


def test_a_page_stays_what_it_was_while_boards_are_written_and_removed(connection: Connection) -> None:
    first = page(connection, Filter(), 10)
    assert (first.newer, [each.id for each in first.boards]) == (None, list(range(100, 90, -1)))
    connection.execute(update(Inspection).where(Inspection.id == 1).values(inspection_time=MIDNIGHT + 9 * HOUR))
    connection.execute(delete(Inspection).where(Inspection.id == 91))  # to which the key leads
    assert first.older is not None
    second = page(connection, Filter(), 10, older=first.older)
    assert [each.id for each in second.boards] == list(range(90, 80, -1))
    assert second.newer is not None
    back = page(connection, Filter(), 9, newer=second.newer)
    assert [each.id for each in back.boards] == list(range(100, 91, -1))
    assert back.newer is not None
    assert [each.id for each in page(connection, Filter(), 9, newer=back.newer).boards] == [1]


def test_where_nothing_is_newer_the_newest_page_is_shown(connection: Connection) -> None:
    newest = page(connection, Filter(), 10)
    top = Key(newest.boards[0].inspection_time, newest.boards[0].id)
    assert page(connection, Filter(), 10, newer=top) == newest
    assert page(connection, Filter(product="none")) == ([], None, None)


@given(st.datetimes(), st.integers(0, 2**63 - 1))
def test_a_key_is_read_as_it_was_written(moment: datetime, number: int) -> None:
    assert Key.parse(str(Key(moment, number))) == (moment, number)


@pytest.mark.parametrize(
    "text",
    ["", "_", "x_1", "2026-11-21", "2026-02-30T00:00_1", "2026-11-21T00:00Z_1", "2026-11-21_-1", f"2026-11-21_{2**63}"],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a key of a page: "):
        Key.parse(text)


CHOSEN: dict[str, tuple[Filter, Callable[[int], bool]]] = {
    "line": (Filter(line=SECOND_LINE), lambda n: n % 4 == 3),
    "category": (Filter(category="scrap"), lambda n: n % 10 == 9),
    "side": (Filter(camera_id="left"), lambda n: n % 10 > 5),
    "product": (Filter(product="display"), lambda n: n % 2 == 1),
    "status": (Filter(status="missing"), lambda n: n % 50 == 40),
    "model": (Filter(model="starter"), lambda n: True),
    "no model": (Filter(model="other"), lambda n: False),
    "class": (Filter(class_name="spur"), lambda n: n % 10 > 5),
    "class, in a span": (
        Filter(class_name="spur", since=MIDNIGHT + HOUR, until=MIDNIGHT + 80 * MINUTE),
        lambda n: n % 10 > 5 and 60 <= n < 80,
    ),
    "serial": (Filter(serial="SN-7"), lambda n: n in (7, 20)),
    "board": (Filter(board="board-7"), lambda n: n == 7),
    "shift": (Filter(shift=(time(0, 30), time(1, 0))), lambda n: 30 <= n < 60),
    "shift over midnight": (Filter(shift=(time(23), time(0, 30))), lambda n: n < 30),
    "all": (
        Filter(
            LINE, MIDNIGHT, MIDNIGHT + HOUR, "solder", "납땜불량", "left", "controller", status="ok", model="starter"
        ),
        lambda n: n % 10 == 6 and n < 60 and n % 4 != 3,
    ),
    "SQL": (Filter(product="' OR 1=1 -- ", serial="%"), lambda n: False),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_filter_chooses_what_it_names(connection: Connection, name: str) -> None:
    chosen, belongs = CHOSEN[name]
    read = {"board_id": "b", "camera_id": "right", "serial": "SN-7", "symbology": "qr", "received_at": BEGIN}
    connection.execute(insert(Serial).values(line=LINE, verdict_id="verdict-20", **read))
    expected = [number + 1 for number in range(99, -1, -1) if belongs(number)]
    assert every_id(connection, chosen, 7) == (expected, expected)
    assert count(connection, chosen) == len(expected)
    assert count(connection, chosen, most=3) == min(3, len(expected))
    assert [each.board_id for each in export(connection, chosen)] == [f"board-{each - 1}" for each in expected[::-1]]


def test_a_board_with_many_boxes_of_a_class_is_one_board(connection: Connection) -> None:
    """All of them would fill the page."""
    box = {"line": LINE, "inspection_time": MIDNIGHT + 49 * MINUTE, "camera_id": "left", "class_name": "spur"}
    box |= {"inspection_id": 50, "confidence": 0.9, "x1": 1, "y1": 1, "x2": 2, "y2": 2}
    connection.execute(insert(Defect), [box] * 50)
    there, back = every_id(connection, Filter(class_name="spur"), 5)
    assert there == back == [number + 1 for number in range(99, -1, -1) if number % 10 > 5]


# files


def test_a_file_of_all_boards_is_never_in_memory_at_once(filled: Engine) -> None:
    with filled.connect() as connection:
        rows = export(connection, Filter())
        first = next(rows)
        rows.close()
        assert first.board_id == "board-0"
        assert first.captured_at == BEGIN
        assert total(connection) == count(connection, Filter()) == 100
        assert total(connection, LINE) == 75


def test_rows_for_a_file_come_as_they_are_taken(filled: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    if filled.dialect.name == "sqlite":
        pytest.skip("its cursor never holds more than a row")
    monkeypatch.setattr("records.history._BATCH", 20)
    ten = " UNION ALL ".join("SELECT 1" for _ in range(10))
    with filled.connect() as connection, connection.begin() as transaction:
        names = [column.name for column in Inspection.__table__.columns if column.name not in ("id", "verdict_id")]
        columns = ", ".join(f"`{name}`" for name in names)
        copied = f"SELECT UUID(), {columns} FROM inspections, ({ten}) ten"
        connection.exec_driver_sql(f"INSERT INTO inspections (verdict_id, {columns}) {copied}")
        peaks = []
        in_turn, at_once = (
            lambda: sum(1 for _ in export(connection, Filter())),
            lambda: len(page(connection, Filter(), 2000)[0]),
        )
        for read in (in_turn, at_once):
            tracemalloc.start()
            assert read() == 1100
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        transaction.rollback()
    assert peaks[0] < peaks[1] / 4


# a board's story


def test_a_story_is_told_in_order_of_time(connection: Connection) -> None:
    person = {"id": 1, "username": "kim", "password_hash": "", "role": "operator", "active": True, "created_at": NOW}
    connection.execute(insert(User), [person])
    decide(connection, LINE, Decision("verdict-9", "confirmed"), 1, NOW)
    undo(connection, LINE, 1, NOW + MINUTE)
    told = story(connection, 10)
    assert told is not None
    assert told.trigger is not None
    assert told.trigger.source == "plc"
    assert [(each.decision, each.username) for each in told.decisions] == [("confirmed", "kim")]
    assert [(each.kind, each.camera_id) for each in told.moments] == [
        ("triggered", None),
        ("captured", "left"),
        ("captured", "right"),
        ("judged", None),
        ("read", "left"),
        ("gated", None),
        ("pictured", "left"),
        ("recorded", None),
        ("decided", None),
        ("undone", None),
    ]
    times = [each.at for each in told.moments]
    assert times == sorted(times)
    assert times[0] == BEGIN + 9 * MINUTE
    assert times[-1] == NOW + MINUTE
    assert story(connection, 1000) is None


# figures


@pytest.mark.parametrize(("by", "name"), [("side", "camera_id"), ("product", "product"), ("model", "model")])
def test_boards_are_grouped(connection: Connection, by: Any, name: str) -> None:
    found = groups(connection, LINE, MIDNIGHT, MIDNIGHT + HOUR, by)
    rows = export(connection, Filter(LINE, MIDNIGHT, MIDNIGHT + HOUR))
    expected = Counter((getattr(row, name), row.category) for row in rows)
    assert {(each.name, each.category): each.boards for each in found} == expected
    assert [each.name for each in found] == sorted(each.name for each in found)
    assert groups(connection, "none", MIDNIGHT, MIDNIGHT + HOUR, by) == []


def test_defects_are_counted_where_they_are(connection: Connection) -> None:
    """Of 640 x 480 pixels; boxes of two classes, 20 wide, from 10 and from 50 on."""
    span = LINE, "left", MIDNIGHT, MIDNIGHT + 2 * HOUR
    found = places(connection, *span, grid=(32, 24))
    assert found is not None
    assert (found.width, found.height, found.boxes, found.is_all) == (640, 480, 60, True)
    assert found.cells == {(1, 1): 30, (3, 1): 30}
    spurs = places(connection, *span, grid=(16, 1), class_name="spur")
    assert spurs is not None
    assert spurs.cells == {(1, 0): 30}
    connection.execute(update(DefectImage).values(width=50, height=10))
    edge = places(connection, *span, grid=(4, 4))
    assert edge is not None
    assert edge.cells == {(1, 3): 30, (3, 3): 30}
    assert places(connection, LINE, "right", *span[2:]) is None


def test_of_very_many_defects_the_newest_are_counted(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("records.figures._MOST_BOXES", 20)
    found = places(connection, LINE, "left", MIDNIGHT, MIDNIGHT + 2 * HOUR)
    assert found is not None
    assert (found.boxes, found.is_all) == (20, False)
