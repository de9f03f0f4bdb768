"""What the databases could store otherwise than it was said: text beyond ASCII, lengths, numbers and times."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import JSON, Engine, String, func, select
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

from pcb_bus.contract.messages import Actuation, Event, Trigger, Verdict
from recorder import tables
from recorder.batch import ActuationRecord, LogRecord, Record, TriggerRecord, VerdictRecord, group
from recorder.bulk import insert_rows
from recorder.errors import RowRefused
from recorder.rows import Row, actuation_row, inspection_row, log_row, side_rows, trigger_row
from recorder.store import Store

AT = 1_795_248_000_123_000_000
NOW = datetime(2026, 11, 21, 8, 0, 0, 123_000, UTC)
UNUSUAL = "납땜 📷 é e\u0301 漢 '\"\\ %s ؈"
WIDE = "📷"  # four bytes in UTF-8
SEEMINGLY_ALIKE = ("a", "A", "á", "a\u0301", "a\u200b", "ａ", "ß", "ss", "가", "\u1100\u1161", WIDE, "📸")
LATER_ZONE = timezone(timedelta(hours=9))


def write(engine: Engine, *records: Record) -> None:
    Store(engine).write(group(records))


def verdict_record(verdict: Verdict) -> VerdictRecord:
    return VerdictRecord(inspection_row(verdict, AT), side_rows(verdict))


def text_row(kind: type[DeclarativeBase], text: str) -> Row:
    """A row with `text` in every column of text, cut to the column, and something in all that must not be empty."""
    row: Row = {}
    for column in kind.__table__.columns:
        if isinstance(column.type, String):
            row[column.name] = text[: column.type.length]
        elif not column.nullable and column.name != "id":
            row[column.name] = filler(column.type, text)
    return row


def filler(kind: TypeEngine[object], text: str) -> object:
    if isinstance(kind, JSON):
        return {"key": text, text: [text]}
    if isinstance(kind, tables.UtcTime):
        return NOW
    return {int: 1, float: 1.0, bool: True, bytes: b"x"}[kind.python_type]


WITHOUT_PARENT = [
    mapper.class_ for mapper in tables.Base.registry.mappers if mapper.class_ is not tables.InspectionSide
]


@pytest.mark.parametrize("kind", WITHOUT_PARENT, ids=lambda kind: kind.__tablename__)
@pytest.mark.parametrize("text", [UNUSUAL, WIDE * 255], ids=["unusual", "as long as it may be"])
def test_every_column_of_text_keeps_what_was_said(engine: Engine, kind: type[DeclarativeBase], text: str) -> None:
    row = text_row(kind, text)
    with engine.begin() as connection:
        insert_rows(connection, kind, [row])
    with engine.connect() as connection:
        stored = connection.execute(select(kind.__table__)).one()._asdict()
    assert {name: stored[name] for name in row} == row


def test_sides_keep_the_widest_text(engine: Engine, make_verdict: Callable[..., Verdict]) -> None:
    record = verdict_record(make_verdict())
    side = record.sides[0] | {"frame_id": WIDE * 128, "defect_type": WIDE * 128}
    write(engine, replace(record, sides=[side]))
    with engine.connect() as connection:
        columns = (tables.InspectionSide.frame_id, tables.InspectionSide.defect_type)
        assert tuple(connection.execute(select(*columns)).one()) == (WIDE * 128, WIDE * 128)


def test_ids_that_seem_alike_are_different_boards(
    engine: Engine, make_verdict: Callable[..., Verdict], make_actuation: Callable[..., Actuation]
) -> None:
    for name in SEEMINGLY_ALIKE:
        trigger = Trigger(board_id=name, triggered_at=AT, source="edge-left")
        write(
            engine,
            verdict_record(make_verdict(verdict_id=name, board_id=name)),
            ActuationRecord(actuation_row(make_actuation(verdict_id=name, board_id=name), AT)),
            TriggerRecord(trigger_row(trigger, name, AT)),
        )
    with engine.connect() as connection:
        for kind in (tables.Inspection, tables.Actuation, tables.Trigger):
            assert set(connection.scalars(select(kind.verdict_id))) == set(SEEMINGLY_ALIKE)
        found = select(tables.Inspection.board_id).where(tables.Inspection.board_id == "a")
        assert connection.scalars(found).all() == ["a"]
        still_open = select(func.count()).select_from(tables.Trigger).where(tables.Trigger.open)
        assert connection.scalars(still_open).one() == 0


def test_an_id_that_differs_in_a_space_at_its_end_is_never_taken_for_another(
    engine: Engine, make_verdict: Callable[..., Verdict]
) -> None:
    # MariaDB and MySQL have no collation in common that tells the two apart: there the second is refused, and named.
    # The contract lets no such id in; this is what stands behind it.
    first, second = (verdict_record(make_verdict().model_copy(update={"verdict_id": name})) for name in ("a", "a "))
    write(engine, first)
    if engine.name == "sqlite":
        write(engine, second)
    else:
        with pytest.raises(RowRefused, match="Duplicate entry"):
            write(engine, second)
    with engine.connect() as connection:
        stored = connection.scalars(select(tables.Inspection.verdict_id).order_by(tables.Inspection.id)).all()
    assert stored == (["a", "a "] if engine.name == "sqlite" else ["a"])


@pytest.mark.parametrize(
    "number",
    [0, -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 2**53 + 1, -(2**63), 2**64 - 1, 1e-7, 1e22],
    ids=repr,
)
def test_unusual_numbers_come_back_from_json(engine: Engine, number: float) -> None:
    event = Event(level="info", source="edge-left", message="number", details={}, at=AT)
    write(engine, LogRecord(log_row(event, b"payload") | {"details": {"value": number}}))
    with engine.connect() as connection:
        assert connection.scalars(select(tables.SystemLog.details)).one() == {"value": number}


@pytest.mark.parametrize("number", [0.0, 5e-324, 0.1 + 0.2, 1 / 3, 1.0])
def test_a_column_of_numbers_keeps_every_bit(
    engine: Engine, make_verdict: Callable[..., Verdict], number: float
) -> None:
    write(engine, verdict_record(make_verdict(confidence=number)))
    with engine.connect() as connection:
        assert connection.scalars(select(tables.Inspection.confidence)).one() == number


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 12, 31, 23, 59, 59, 999_000, UTC),
        datetime(2027, 1, 1, 8, 59, 59, 999_000, LATER_ZONE),
        datetime(2026, 3, 29, 1, 59, 59, 999_000, UTC),  # in Europe the clock is set forward: no 02:30 in local time
        datetime(2026, 3, 29, 2, 30, 0, 1_000, UTC),
        datetime(2026, 10, 25, 0, 30, 0, 1_000, UTC),  # and back: local time has 02:30 twice
        datetime(2026, 10, 25, 1, 30, 0, 1_000, UTC),
        datetime(2028, 2, 29, 23, 59, 59, 999_000, UTC),
        datetime(2038, 1, 19, 3, 14, 8, 1_000, UTC),  # more seconds than 31 bits count
    ],
    ids=datetime.isoformat,
)
def test_a_time_comes_back_to_the_millisecond(
    engine: Engine, make_verdict: Callable[..., Verdict], moment: datetime
) -> None:
    late = moment + timedelta(microseconds=999)
    record = verdict_record(make_verdict())
    write(engine, VerdictRecord(record.row | {"inspection_time": late}, record.sides))
    with engine.connect() as connection:
        assert connection.scalars(select(tables.Inspection.inspection_time)).one() == moment
        at_once = select(func.count()).select_from(tables.Inspection)
        assert connection.scalars(at_once.where(tables.Inspection.inspection_time == moment)).one() == 1
