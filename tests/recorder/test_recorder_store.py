"""Batches into SQLite and MariaDB."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import URL, Engine, func, select
from sqlalchemy.orm import DeclarativeBase, Session

from pcb_bus.contract.messages import Actuation, Event, Evidence, SideResult, Verdict
from pcb_bus.contract.pictures import PictureSize
from recorder import tables
from recorder.batch import ActuationRecord, ImageRecord, LogRecord, Record, RejectedRecord, VerdictRecord, group
from recorder.database import bring_up_to_date, database_url, make_engine
from recorder.errors import DatabaseDown, RowRefused
from recorder.images import StoredImage
from recorder.rows import PAYLOAD_KEPT, actuation_row, image_row, inspection_row, log_row, rejected_row, side_rows
from recorder.store import Store

AT = 1_795_248_000_123_000_000


@pytest.fixture
def store(engine: Engine) -> Store:
    return Store(engine)


def verdict_record(verdict: Verdict) -> VerdictRecord:
    return VerdictRecord(inspection_row(verdict, AT), side_rows(verdict))


def image_record(evidence: Evidence) -> ImageRecord:
    stored = StoredImage("a" * 64, f"{evidence.side}/{evidence.verdict_id}.jpg", PictureSize(640, 480))
    return ImageRecord(image_row(evidence, stored, AT))


def count(engine: Engine, kind: type[DeclarativeBase]) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(kind)).scalar_one()


def image_paths(engine: Engine) -> dict[str, str | None]:
    with engine.connect() as connection:
        rows = connection.execute(select(tables.Inspection.verdict_id, tables.Inspection.image_path))
        return {row.verdict_id: row.image_path for row in rows}


def test_a_verdict_comes_back_as_it_was(
    store: Store, engine: Engine, make_verdict: Callable[..., Verdict], make_actuation: Callable[..., Actuation]
) -> None:
    event = Event(level="error", source="edge-left", message="카메라 📷 gone", details={"why": ["케이블"]}, at=AT)
    store.write(
        group(
            [
                verdict_record(make_verdict(serial="SN-7")),
                ActuationRecord(actuation_row(make_actuation(), AT)),
                LogRecord(log_row(event, b"payload")),
            ]
        )
    )
    with Session(engine) as session:
        board = session.scalars(select(tables.Inspection)).one()
        assert (board.verdict_id, board.defect_type, board.camera_id) == ("verdict-1", "납땜불량", "left")
        assert board.inspection_time == datetime(2026, 11, 21, 8, 0, 0, 123_000, UTC)
        assert (board.confidence, board.latency_ms, board.serial) == (0.9, 41.3, "SN-7")
        assert board.boxes[0]["class"] == "short"
        sides = session.scalars(select(tables.InspectionSide).order_by(tables.InspectionSide.camera_id)).all()
        assert [(side.inspection_id, side.camera_id) for side in sides] == [(board.id, "left"), (board.id, "right")]
        assert session.scalars(select(tables.Actuation.outcome)).one() == "fired"
        log = session.scalars(select(tables.SystemLog)).one()
        assert (log.message, log.details) == ("카메라 📷 gone", {"why": ["케이블"]})


def test_repeats_are_one_row_and_the_first_stands(
    store: Store,
    engine: Engine,
    make_verdict: Callable[..., Verdict],
    make_side: Callable[..., SideResult],
    make_actuation: Callable[..., Actuation],
) -> None:
    report = ActuationRecord(actuation_row(make_actuation(), AT))
    store.write(group([verdict_record(make_verdict(sides={"left": make_side("left")}, confidence=0.5)), report]))
    store.write(group([verdict_record(make_verdict()), verdict_record(make_verdict("2")), report]))
    assert count(engine, tables.Inspection) == 2
    assert count(engine, tables.InspectionSide) == 1 + 2
    assert count(engine, tables.Actuation) == 1
    with engine.connect() as connection:
        first = select(tables.Inspection.confidence).where(tables.Inspection.verdict_id == "verdict-1")
        assert connection.scalars(first).one() == 0.5


def test_ids_that_differ_in_case_are_two_boards(
    store: Store, engine: Engine, make_verdict: Callable[..., Verdict]
) -> None:
    store.write(group(verdict_record(make_verdict(verdict_id=name)) for name in ("a", "A", "á")))
    assert count(engine, tables.Inspection) == 3


def test_a_duplicate_report_stands_beside_the_fired_one(
    store: Store, engine: Engine, make_actuation: Callable[..., Actuation]
) -> None:
    reports = [make_actuation(), make_actuation(outcome="duplicate", fired_at=None), make_actuation()]
    store.write(group(ActuationRecord(actuation_row(report, AT)) for report in reports))
    assert count(engine, tables.Actuation) == 2


@pytest.mark.parametrize("order", ["together", "verdict first", "evidence first"])
def test_the_picture_finds_its_row(
    store: Store,
    engine: Engine,
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
    order: str,
) -> None:
    verdict, evidence = verdict_record(make_verdict()), image_record(make_evidence())
    other = verdict_record(make_verdict("2"))
    orders: dict[str, list[list[Record]]] = {
        "together": [[verdict, evidence, other]],
        "verdict first": [[verdict, other], [evidence]],
        "evidence first": [[evidence], [other, verdict]],
    }
    for batch in orders[order]:
        store.write(group(batch))
    assert image_paths(engine) == {"verdict-1": "left/verdict-1.jpg", "verdict-2": None}


def test_the_row_shows_the_side_that_decided(
    store: Store, engine: Engine, make_verdict: Callable[..., Verdict], make_evidence: Callable[..., Evidence]
) -> None:
    on_right = verdict_record(make_verdict("r", left="normal", right="solder"))
    on_both = verdict_record(make_verdict("b", left="solder", right="solder"))
    pictures = [image_record(make_evidence(name, side)) for name in ("r", "b") for side in ("right", "left")]
    store.write(group([on_right, on_both, *pictures[:1], *pictures[2:3]]))
    store.write(group(pictures))
    assert image_paths(engine) == {"verdict-r": "right/verdict-r.jpg", "verdict-b": "left/verdict-b.jpg"}
    assert count(engine, tables.DefectImage) == 4


def test_a_rejected_message_is_kept_once_byte_for_byte(store: Store, engine: Engine) -> None:
    payload = bytes(range(256)) * 512
    rejected = RejectedRecord(rejected_row("verdict", "pcb/verdict", payload, "json", "not JSON", "verdict-1", AT))
    store.write(group([rejected]))
    store.write(group([rejected, rejected]))
    with Session(engine) as session:
        row = session.scalars(select(tables.RejectedMessage)).one()
        assert (row.payload, row.size_bytes) == (payload[:PAYLOAD_KEPT], len(payload))
        assert (row.kind, row.reason, row.verdict_id) == ("verdict", "json", "verdict-1")


def test_a_value_that_no_column_takes_is_refused_and_nothing_of_its_batch_written(
    store: Store, engine: Engine, make_verdict: Callable[..., Verdict], make_actuation: Callable[..., Actuation]
) -> None:
    too_long = actuation_row(make_actuation(), AT) | {"duration_ms": 10**30}
    with pytest.raises(RowRefused):
        store.write(group([verdict_record(make_verdict()), ActuationRecord(too_long)]))
    assert count(engine, tables.Inspection) == 0


def test_details_that_are_not_json_are_refused(store: Store) -> None:
    with pytest.raises(RowRefused):
        store.write(group([event_record({"score": float("nan")})]))


def test_details_deeper_than_mariadb_takes_are_refused(mariadb_url: str) -> None:
    url = database_url(mariadb_url)
    bring_up_to_date(url)
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"in": deep}
    engine = make_engine(url)
    with pytest.raises(RowRefused):
        Store(engine).write(group([event_record(deep)]))
    engine.dispose()


def event_record(details: dict[str, object]) -> LogRecord:
    """One that the contract would not let in."""
    event = Event(level="info", source="inference", message="", details={}, at=AT)
    return LogRecord(log_row(event, b"") | {"details": details})


def test_a_database_without_its_tables_is_down(url: URL, make_verdict: Callable[..., Verdict]) -> None:
    engine = make_engine(url)
    with pytest.raises(DatabaseDown):
        Store(engine).write(group([verdict_record(make_verdict())]))
    engine.dispose()
