"""Boards as the recorder writes them, with what was found on them and their pictures."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, insert

from records.picture_store import Folder
from records.tables import Defect, DefectImage, Inspection, InspectionSide

LABELS = {"normal": "정상", "component": "부품불량", "solder": "납땜불량", "scrap": "폐기", "unjudged": "미판정"}


class RecordedBoards:
    """Writes into the tables and the store. The wall clock of the line is UTC."""

    def __init__(self, engine: Engine, images: Path) -> None:
        self._engine, self._store = engine, Folder(images)

    def add(
        self,
        board_id: str,
        category: str = "normal",
        boxes: Sequence[tuple[str, str, float]] = (),
        *,
        at: datetime | None = None,
        jpeg: bytes | None = None,
        **fields: Any,
    ) -> str:
        """The verdict's id. `boxes`: side, class and confidence of each; `jpeg`: of both sides, 64x48 pixels."""
        moment = at or datetime.now(UTC)
        verdict_id = f"v-{board_id}"
        row = {
            "line": "pcb", "verdict_id": verdict_id, "board_id": board_id,
            "camera_id": boxes[0][0] if boxes else "both", "defect_type": LABELS[category], "category": category,
            "confidence": max((each[2] for each in boxes), default=1.0), "inspection_time": moment.replace(tzinfo=None),
            "local_date": moment.date(), "captured_at": moment, "boxes": [], "status": "ok", "judged_at": moment,
            "received_at": moment, "latency_ms": 100.0,
        }  # fmt: skip
        with self._engine.begin() as connection:
            added = connection.execute(insert(Inspection).values(row | fields)).inserted_primary_key
            assert added is not None
            for side in ("left", "right"):
                connection.execute(insert(InspectionSide).values(_side(int(added[0]), side, row, boxes)))
            for side, name, confidence in boxes:
                connection.execute(insert(Defect).values(_box(int(added[0]), side, name, confidence, row)))
            for side in ("left", "right") if jpeg is not None else ():
                self._store.put(f"{verdict_id}-{side}.jpg", jpeg or b"")
                connection.execute(insert(DefectImage).values(_picture(verdict_id, side, row, jpeg or b"")))
        return verdict_id


def _side(number: int, side: str, row: dict[str, Any], boxes: Sequence[tuple[str, str, float]]) -> dict[str, Any]:
    category = row["category"] if any(each[0] == side for each in boxes) else "normal"
    return {
        "inspection_id": number, "line": "pcb", "camera_id": side, "frame_id": f"{row['board_id']}-{side}",
        "captured_at": row["captured_at"], "defect_type": LABELS[category], "category": category,
        "confidence": row["confidence"], "inference_time_ms": 20.0,
    }  # fmt: skip


def _box(number: int, side: str, name: str, confidence: float, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "inspection_id": number, "line": "pcb", "inspection_time": row["inspection_time"], "camera_id": side,
        "class_name": name, "confidence": confidence, "x1": 16.0, "y1": 8.0, "x2": 32.0, "y2": 24.0,
    }  # fmt: skip


def _picture(verdict_id: str, side: str, row: dict[str, Any], jpeg: bytes) -> dict[str, Any]:
    return {
        "line": "pcb", "verdict_id": verdict_id, "board_id": row["board_id"], "camera_id": side, "kind": "frame",
        "state": "stored", "sha256": "0" * 64, "path": f"{verdict_id}-{side}.jpg", "width": 64, "height": 48,
        "size_bytes": len(jpeg), "received_at": row["received_at"],
    }  # fmt: skip
