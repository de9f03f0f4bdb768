"""Records of boards by their number, as the store takes them: board 7 has the pass `verdict-7`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import DeclarativeBase

from pcb_bus.contract.messages import Box, Category, ModelRef, Serial, SideResult, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS
from recorder import rows
from recorder.rows import Record
from recorder.statistics import Difference, Statistics, differences
from records.database import for_reading
from records.tables import Base, Inspection

AT = 1_795_248_000_123_000_000  # 2026-11-21T08:00:00.123Z
MINUTE = 60_000 * NS_PER_MS
LINE = "pcb"
ZONE = ZoneInfo("Asia/Seoul")


def side(camera_id: str, classes: Iterable[str] = (), category: Category = "normal") -> SideResult:
    return SideResult(
        camera_id=camera_id,
        frame_id=f"frame-{camera_id}",
        captured_at=AT,
        defect_type="정상",
        category=category,
        confidence=0.9,
        boxes=tuple(Box(x1=1, y1=2, x2=30, y2=40, confidence=0.9, class_name=name) for name in classes),
        anomaly_score=None,
        inference_time_ms=14.2,
    )


def verdict_record(
    number: int, category: Category = "solder", at: int = AT, line: str = LINE, zone: ZoneInfo = ZONE, **changes: Any
) -> Record:
    """A verdict on two sides, with two shorts and a spur on the left one, captured at `at` (ns)."""
    fields: dict[str, Any] = {
        "verdict_id": f"verdict-{number}",
        "board_id": f"board-{number}",
        "status": "ok",
        "final_defect_type": "납땜불량",
        "category": category,
        "confidence": 0.9,
        "gpio_signal": None,
        "sides": {"left": side("left", ("short", "short", "spur"), category), "right": side("right")},
        "captured_at": at,
        "judged_at": at + 41 * NS_PER_MS,
        "deadline_at": at + 2000 * NS_PER_MS,
        "latency_ms": 41.5,
        "model": ModelRef(name="starter", sha256="0" * 64),
    }
    return rows.verdict_record(Verdict(**(fields | changes)), line, zone, at)


def trigger_record(
    number: int, at: int = AT, line: str = LINE, product: str | None = None, source: str = "plc"
) -> Record:
    """The trigger of the same pass, received when it was sent."""
    trigger = Trigger(board_id=f"board-{number}", triggered_at=at, source=source, product=product)
    record = rows.trigger_record(trigger, line, at)
    return Record(record.table, [{**record.rows[0], "verdict_id": f"verdict-{number}"}], named=record.named)


def serial_record(
    number: int, serial: str, side: str = "left", product: str | None = None, at: int = AT, line: str = LINE
) -> Record:
    """What was read on a side of the same pass, received at `at` (ns)."""
    told = Serial(
        side=side, board_id=f"board-{number}", triggered_at=AT, serial=serial, symbology="qr", product=product
    )
    record = rows.serial_record(told, line, at)
    return Record(record.table, [{**record.rows[0], "verdict_id": f"verdict-{number}"}])


def empty(engine: Engine) -> None:
    """Delete all rows of all tables."""
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())


def count(engine: Engine, kind: type[DeclarativeBase]) -> int:
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(kind)).scalar_one()


def drift(engine: Engine, line: str = LINE) -> list[Difference]:
    """Where the statistics are not what all the rows of the line say, once the hours that were written are counted."""
    Statistics(engine, line).count_touched()
    with for_reading(engine).connect() as connection:
        times = connection.scalars(select(Inspection.inspection_time).where(Inspection.line == line)).all()
        until = max(times) + timedelta(milliseconds=1) if times else None
        return list(differences(connection, line, min(times), until)) if until else []
