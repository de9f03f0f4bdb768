"""Rows of boards by their number, put into the tables as a recorder would."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, insert

from records.tables import (
    Actuation,
    Alert,
    Base,
    BoardStatistics,
    Defect,
    DefectImage,
    DefectStatistics,
    Inspection,
    InspectionSide,
    Serial,
    SystemLog,
    Trigger,
    YieldStatistics,
)
from records.times import hour_of, local_day, local_time

LINE, SECOND_LINE = "pcb", "pcb/line2"
ZONE = ZoneInfo("Asia/Seoul")
BEGIN = datetime(2026, 11, 20, 15, tzinfo=UTC)  # midnight there
LABELS = {"normal": "정상", "solder": "납땜불량", "component": "부품불량", "scrap": "폐기", "unjudged": "미판정"}


def fill(engine: Engine, boards: int, spacing: timedelta = timedelta(seconds=10)) -> None:
    """Boards of two lines from `BEGIN` on: of ten, six are normal; the last three passes have no verdict yet."""
    numbers = range(boards)
    found: dict[type[Base], list[dict[str, Any]]] = {table: [] for table in _TABLES}
    for number in numbers:
        _add_board(found, number, BEGIN + number * spacing, is_open=number >= boards - 3)
    found[Alert] = [_alert(1, "OVERDUE", None), _alert(2, "edge-left", BEGIN)]
    found[SystemLog] = [_log(number) for number in range(5)]
    found[BoardStatistics], found[DefectStatistics] = _statistics(found[Inspection], found[Defect])
    found[YieldStatistics] = _yields(found[Inspection])
    with engine.begin() as connection:
        for table, rows in found.items():
            for first in range(0, len(rows), 500):
                connection.execute(insert(table), rows[first : first + 500])


def _add_board(found: dict[type[Base], list[dict[str, Any]]], number: int, at: datetime, *, is_open: bool) -> None:
    category = (*("normal",) * 6, "solder", "solder", "component", "scrap")[number % 10]
    line = SECOND_LINE if number % 4 == 3 else LINE
    key = {"line": line, "verdict_id": f"verdict-{number}"}
    passed = {**key, "board_id": f"board-{number}"}
    seen = at + timedelta(milliseconds=80)
    found[Trigger].append({**passed, "source": "plc", "triggered_at": at, "received_at": at, "open": is_open})
    if is_open:
        return
    bad = category != "normal"
    boxes = [_box("short", 10), _box("spur", 50)] if bad else []
    local = local_time(at, ZONE)
    inspection = {
        **passed,
        "id": number + 1,
        "serial": f"SN-{number}",
        "product": ("controller", "display")[number % 2],
        "recipe": "controller 3",
        "camera_id": "left" if bad else "both",
        "defect_type": LABELS[category],
        "category": category,
        "confidence": 0.9,
        "inspection_time": local,
        "local_date": local_day(at, ZONE),
        "captured_at": at,
        "image_path": f"/images/{number}.jpg" if bad else None,
        "boxes": boxes,
        "gpio_pin": 27 if bad else None,
        "gpio_duration_ms": 500 if bad else None,
        "status": "missing" if number % 50 == 40 else "ok",
        "judged_at": at,
        "received_at": seen,
        "latency_ms": 40.0,
        "model": "starter",
    }
    found[Inspection].append(inspection)
    read = {"camera_id": "left", "serial": f"SN-{number}", "symbology": "qr", "received_at": seen}
    found[Serial].append({**passed, **read})
    side = {"frame_id": "f", "captured_at": at, "confidence": 0.9, "anomaly_score": None, "inference_time_ms": 14.0}
    for camera, worst in (("left", category), ("right", "normal")):
        kind = {"camera_id": camera, "category": worst, "defect_type": LABELS[worst]}
        found[InspectionSide].append({"inspection_id": number + 1, "line": line, **kind, **side})
    for box in boxes:
        row = {key: box[key] for key in ("camera_id", "confidence", "x1", "y1", "x2", "y2")}
        row |= {"inspection_id": number + 1, "line": line, "inspection_time": local, "class_name": box["class"]}
        found[Defect].append(row)
    outcome = ("late" if number % 20 == 9 else "fired") if bad else "no_gate"
    gate = {
        "category": category,
        "pin": 27,
        "outcome": outcome,
        "fired_at": seen,
        "duration_ms": 500,
        "latency_ms": 1.5,
    }
    found[Actuation].append({**passed, **gate, "received_at": seen})
    if bad:
        size = {"width": 640, "height": 480, "size_bytes": 40_000, "received_at": seen}
        kept = {"camera_id": "left", "kind": "frame", "state": "stored", "sha256": "0" * 64, "path": f"{number}.jpg"}
        found[DefectImage].append({**passed, **kept, **size})


_TABLES = (Trigger, Inspection, InspectionSide, Defect, Serial, Actuation, DefectImage, Alert)


def _box(name: str, x: float) -> dict[str, Any]:
    return {"camera_id": "left", "class": name, "confidence": 0.9, "x1": x, "y1": 2.0, "x2": x + 20, "y2": 40.0}


def _alert(number: int, subject: str, resolved_at: datetime | None) -> dict[str, Any]:
    about = {"id": number, "line": LINE, "kind": "missing_verdict", "subject": subject, "level": "error"}
    return about | {"message": subject, "details": {}, "raised_at": BEGIN, "resolved_at": resolved_at}


def _log(number: int) -> dict[str, Any]:
    about = {"line": LINE, "digest": str(number), "level": ("info", "error")[number % 2], "source": "edge-left"}
    return about | {"message": "camera is gone", "details": {}, "logged_at": BEGIN}


def _statistics(
    inspections: Iterable[dict[str, Any]], defects: Iterable[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    boards: dict[Any, dict[str, Any]] = {}
    for row in inspections:
        key = {"line": row["line"], "begins_at": hour_of(row["inspection_time"]), "category": row["category"]}
        empty = {**key, "boards": 0, "incomplete": 0, "latency_ms_sum": 0.0, "latency_ms_max": 40.0}
        counted = boards.setdefault(tuple(key.values()), empty)
        counted["boards"] += 1
        counted["latency_ms_sum"] += row["latency_ms"]
    classes: dict[Any, dict[str, Any]] = {}
    for row in defects:
        key = {name: row[name] for name in ("line", "camera_id", "class_name")}
        key["begins_at"] = hour_of(row["inspection_time"])
        counted = classes.setdefault(tuple(key.values()), {**key, "boxes": 0, "boards": 0})
        counted["boxes"] += 1
        counted["boards"] += 1
    return list(boards.values()), list(classes.values())


def _yields(inspections: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("line", "product", "model", "camera_id", "category")
    counts = Counter((*(row[name] for name in names), hour_of(row["inspection_time"])) for row in inspections)
    return [dict(zip((*names, "begins_at"), key, strict=True)) | {"boards": boards} for key, boards in counts.items()]
