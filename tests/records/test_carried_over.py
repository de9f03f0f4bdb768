"""A database that the recorder of revision 90dd896 filled: every row of it lives on, as the tables of today say it."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import URL, Engine, MetaData, func, insert, select, text

from records.database import make_engine
from records.migrate import bring_up_to_date, upgrade
from records.tables import Alert, Base, Defect, DefectImage, Inspection, StatisticsHour, SystemConfig, YieldStatistics
from records.times import hour_of, local_day, local_time

LINE, ZONE = "pcb", ZoneInfo("Europe/Berlin")
Rows = dict[str, dict[Any, dict[str, Any]]]
CHANGED = {"inspections": {"inspection_time", "image_path"}}
MADE_ANEW = {"board_statistics", "defect_statistics", "alembic_version"}


@pytest.fixture
def before_and_after(url: URL, fill_as_before: Callable[[URL], None]) -> Iterator[tuple[Rows, Engine]]:
    """All rows as they were, and the database as it is now."""
    fill_as_before(url)
    engine = make_engine(url)
    before = _all_rows(engine)
    bring_up_to_date(url, LINE, ZONE)
    yield before, engine
    engine.dispose()


def _all_rows(engine: Engine) -> Rows:
    """By table and key, as the database itself describes them; JSON is text."""
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: {
                row.get("id", row.get("key")): dict(row) for row in connection.execute(select(table)).mappings()
            }
            for table in tables.sorted_tables
            if table.name not in MADE_ANEW
        }


def test_no_row_is_lost_or_changed(before_and_after: tuple[Rows, Engine]) -> None:
    before, engine = before_and_after
    after = _all_rows(engine)
    assert sum(map(len, before.values())) == 58
    for name, rows in before.items():
        assert after[name].keys() == rows.keys(), name
        for key, row in rows.items():
            kept = {column: after[name][key][column] for column in row}
            changed = {column for column in row if kept[column] != row[column]}
            assert changed <= CHANGED.get(name, set()), (name, key)
            assert after[name][key].get("line", LINE) == LINE


def test_times_are_those_of_the_lines_wall(before_and_after: tuple[Rows, Engine]) -> None:
    before, engine = before_and_after
    with engine.connect() as connection:
        rows = connection.execute(select(Inspection)).all()
    for row in rows:
        captured = before["inspections"][row.id]["inspection_time"].replace(tzinfo=UTC)
        assert row.captured_at == captured
        assert row.inspection_time == local_time(captured, ZONE)
        assert row.local_date == local_day(captured, ZONE)
    # Clocks went back in the night to 2026-10-25: one hour came twice, and each has its board.
    twice = datetime.fromisoformat("2026-10-25 02:30:00.123")
    assert [row.board_id for row in rows if row.inspection_time == twice] == ["BOARD-002", "BOARD-003"]
    assert {row.local_date for row in rows} == {
        date(2026, 10, 24),
        *(date(2026, 10, day) for day in (25, 26)),
        date(2026, 11, 21),
    }


def test_pictures_have_their_state_and_their_address(before_and_after: tuple[Rows, Engine]) -> None:
    before, engine = before_and_after
    with engine.connect() as connection:
        pictures = connection.execute(select(DefectImage).order_by(DefectImage.id)).all()
        paths = {row.id: row.image_path for row in connection.execute(select(Inspection))}
    assert [(each.state, each.kind) for each in pictures] == [
        ("removed", "frame"),
        ("removed", "frame"),
        ("stored", "frame"),
        ("stored", "heat"),
        *[("stored", "frame")] * 3,
    ]
    for key, row in before["inspections"].items():
        assert paths[key] == (row["image_path"] and f"/images/{row['image_path']}")
    assert sum(path is not None for path in paths.values()) == 4


def test_each_box_is_a_defect(before_and_after: tuple[Rows, Engine]) -> None:
    _, engine = before_and_after
    with engine.connect() as connection:
        inspections = connection.execute(select(Inspection)).all()
        for row in inspections:
            found = connection.execute(
                select(Defect).where(Defect.inspection_id == row.id, Defect.line == LINE).order_by(Defect.id)
            ).all()
            assert [
                {
                    "camera_id": each.camera_id,
                    "class": each.class_name,
                    "confidence": each.confidence,
                    **{edge: getattr(each, edge) for edge in ("x1", "y1", "x2", "y2")},
                }
                for each in found
            ] == row.boxes
            assert {each.inspection_time for each in found} <= {row.inspection_time}
        assert connection.scalar(select(func.count()).select_from(Defect)) == 17


def test_every_hour_with_rows_waits_to_be_counted(before_and_after: tuple[Rows, Engine]) -> None:
    _, engine = before_and_after
    with engine.connect() as connection:
        hours = connection.execute(select(StatisticsHour)).all()
        times = connection.scalars(select(Inspection.inspection_time)).all()
        assert connection.execute(Base.metadata.tables["board_statistics"].select()).all() == []
    assert {each.begins_at for each in hours} == {hour_of(time) for time in times}
    assert {(each.line, each.touched - each.counted) for each in hours} == {(LINE, 1)}


def test_boards_of_before_are_counted_by_product_model_and_side(before_and_after: tuple[Rows, Engine]) -> None:
    _, engine = before_and_after
    with engine.connect() as connection:
        stored = connection.execute(select(YieldStatistics)).all()
        rows = connection.execute(select(Inspection)).all()
    expected = Counter(
        (row.line, hour_of(row.inspection_time), row.product or "", row.model or "", row.camera_id, row.category)
        for row in rows
    )
    assert {tuple(row)[:-1]: row.boards for row in stored} == expected


def test_values_and_alerts_are_those_of_the_line(before_and_after: tuple[Rows, Engine]) -> None:
    _, engine = before_and_after
    with engine.connect() as connection:
        values = connection.execute(select(SystemConfig.line, SystemConfig.key, SystemConfig.value)).all()
        is_open = Alert.resolved_at.is_(None)
        alerts = connection.execute(select(Alert.line, Alert.subject, Alert.acknowledged_at).where(is_open)).all()
    assert sorted(map(tuple, values)) == [(LINE, "alert_defect_rate", 0.25), (LINE, "retention_days", 30)]
    assert [tuple(each) for each in alerts] == [(LINE, "OVERDUE", None)]


@pytest.mark.parametrize(
    "boxes",
    [
        "null",
        '{"a": 1}',
        "[1]",
        '[{"class": "short"}]',
        '[{"camera_id": "left", "class": ["short"], "confidence": 1, "x1": 0, "y1": 0, "x2": 1, "y2": 1}]',
        '[{"camera_id": "left", "class": "short", "confidence": 1e999, "x1": 0, "y1": 0, "x2": 1, "y2": 1}]',
    ],
)
def test_boxes_that_are_no_boxes_stop_nothing(
    url: URL, fill_as_before: Callable[[URL], None], boxes: str, caplog: pytest.LogCaptureFixture
) -> None:
    fill_as_before(url)
    engine = make_engine(url)
    with engine.begin() as connection:
        odd = connection.scalar(text("SELECT MAX(id) FROM inspections WHERE LENGTH(boxes) > 2"))
        was = {"boxes": boxes, "id": odd}
        connection.execute(text("UPDATE inspections SET boxes = :boxes WHERE id = :id"), was)
    bring_up_to_date(url, LINE, ZONE)
    with engine.connect() as connection:
        found = set(connection.scalars(select(Defect.inspection_id)))
    assert found
    assert odd not in found
    assert f"inspections.id {odd}: boxes is no list of complete boxes" in caplog.text
    engine.dispose()


def test_pictures_are_below_the_address_that_is_configured(url: URL, fill_as_before: Callable[[URL], None]) -> None:
    fill_as_before(url)
    bring_up_to_date(url, LINE, ZONE, "http://192.168.0.10:8080/images/")
    engine = make_engine(url)
    with engine.connect() as connection:
        paths = connection.scalars(select(Inspection.image_path).where(Inspection.image_path.is_not(None))).all()
    assert len(paths) == 4
    assert {path[:-71] for path in paths if path} == {"http://192.168.0.10:8080/images/"}  # then ab/<64 digits>.jpg
    engine.dispose()


def test_every_millisecond_stays_what_it_was(url: URL) -> None:
    engine = make_engine(url)
    upgrade(engine, LINE, ZONE, "0003")
    first = datetime.fromisoformat("2026-03-29 00:59:59")  # in UTC; a second later clocks go forward
    times = [first + timedelta(milliseconds=each) for each in range(2000)]
    columns = ("board_id", "camera_id", "defect_type", "category", "status")
    old = MetaData()
    old.reflect(engine, only=["inspections"])
    rows = [
        dict.fromkeys(columns, "x")
        | {"verdict_id": str(n), "confidence": 1, "boxes": "[]"}
        | {"inspection_time": time, "received_at": time}
        for n, time in enumerate(times)
    ]
    with engine.begin() as connection:
        connection.execute(insert(old.tables["inspections"]), rows)
        connection.execute(text("UPDATE inspections SET boxes = '[]'"))
    upgrade(engine, LINE, ZONE)
    with engine.connect() as connection:
        found = connection.execute(
            select(Inspection.captured_at, Inspection.inspection_time).order_by(Inspection.id)
        ).all()
        newest = connection.scalars(select(Inspection.id).order_by(Inspection.inspection_time.desc()).limit(1)).one()
    utc = [time.replace(tzinfo=UTC) for time in times]
    assert [tuple(row) for row in found] == [(time, local_time(time, ZONE)) for time in utc]
    assert newest == len(times)
    engine.dispose()
