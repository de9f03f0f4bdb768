"""Verdicts into `inspections` and their sides: one row a board, the first verdict stands, a missing one is completed.

All of it within the caller's transaction.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, case, func, select, update

from recorder.batch import VerdictRecord
from recorder.bulk import insert_rows, these
from recorder.rows import BOTH, Row
from recorder.tables import DefectImage, Inspection, InspectionSide

MISSING = "missing"
NO_VERDICT = "no verdict came within the deadline"


@dataclass(frozen=True, slots=True)
class Present:
    """A row that is there already."""

    id: int
    status: str
    category: str
    inspection_time: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """Rows that count now, and those that they took the place of."""

    fresh: dict[str, Row]
    replaced: list[Row]


def present(connection: Connection, verdict_ids: Collection[str], *, lock: bool = False) -> dict[str, Present]:
    """Which of the passes have a row. With `lock` no other writer gives them one before this transaction ends."""
    if not verdict_ids:
        return {}
    columns = (Inspection.verdict_id, Inspection.id, Inspection.status, Inspection.category, Inspection.inspection_time)
    query = select(*columns).where(Inspection.verdict_id.in_(these(verdict_ids)))
    found = connection.execute(query.with_for_update() if lock else query)
    return {row.verdict_id: Present(row.id, row.status, row.category, row.inspection_time) for row in found}


def write_verdicts(
    connection: Connection, verdicts: Mapping[str, VerdictRecord], before: Mapping[str, Present]
) -> Written:
    """Insert what has no row in `before`, and complete what is missing its verdict.

    Raises:
        sqlalchemy.exc.IntegrityError: another writer inserted one of them since `before` was read.
    """
    new = {verdict_id: record.row for verdict_id, record in verdicts.items() if verdict_id not in before}
    insert_rows(connection, Inspection, new.values())
    late = [
        verdict_id
        for verdict_id, row in before.items()
        if row.status == MISSING and verdict_id in verdicts and _complete(connection, verdicts[verdict_id].row)
    ]
    ids = _ids(connection, new) | {verdict_id: before[verdict_id].id for verdict_id in late}
    insert_rows(connection, InspectionSide, _sides(ids, verdicts))
    replaced = [asdict(before[verdict_id]) for verdict_id in late]
    return Written(new | {verdict_id: verdicts[verdict_id].row for verdict_id in late}, replaced)


def _ids(connection: Connection, verdict_ids: Collection[str]) -> dict[str, int]:
    if not verdict_ids:
        return {}
    found = select(Inspection.verdict_id, Inspection.id).where(Inspection.verdict_id.in_(these(verdict_ids)))
    return {row.verdict_id: row.id for row in connection.execute(found)}


def _sides(ids: Mapping[str, int], verdicts: Mapping[str, VerdictRecord]) -> Iterable[Row]:
    for verdict_id, inspection_id in ids.items():
        for side in verdicts[verdict_id].sides:
            yield {"inspection_id": inspection_id, **side}


def _complete(connection: Connection, row: Row) -> bool:
    """False if another writer completed it meanwhile. What a person noted stays."""
    missing = (Inspection.verdict_id == row["verdict_id"], Inspection.status == MISSING)
    notes = case((Inspection.notes == NO_VERDICT, None), else_=Inspection.notes)
    return connection.execute(update(Inspection).where(*missing).values({**row, "notes": notes})).rowcount == 1


def missing_row(trigger: Row, label: str, now: datetime) -> Row:
    """The inspection of a board whose verdict did not come; `label` is what the taxonomy calls an unjudged one."""
    return {
        "verdict_id": trigger["verdict_id"],
        "board_id": trigger["board_id"],
        "camera_id": BOTH,
        "defect_type": label,
        "category": "unjudged",
        "confidence": 0.0,
        "inspection_time": trigger["triggered_at"],
        "boxes": [],
        "status": MISSING,
        "received_at": now,
        "latency_ms": None,
        "notes": NO_VERDICT,
    }


def link_images(connection: Connection, fresh: Collection[str], pictured: Collection[str]) -> None:
    """Set `image_path` where a picture came now, or before its verdict: the deciding side's, else the first side's."""
    linked = {*pictured, *_pictured(connection, fresh)}
    if not linked:
        return
    pictures = select(DefectImage.path).where(
        DefectImage.verdict_id == Inspection.verdict_id, DefectImage.kind == "frame", DefectImage.removed_at.is_(None)
    )
    deciding = pictures.where(DefectImage.camera_id == Inspection.camera_id).scalar_subquery()
    first = pictures.order_by(DefectImage.camera_id).limit(1).scalar_subquery()
    best = func.coalesce(deciding, first)
    connection.execute(update(Inspection).where(Inspection.verdict_id.in_(these(linked))).values(image_path=best))


def _pictured(connection: Connection, verdict_ids: Collection[str]) -> Iterable[str]:
    if not verdict_ids:
        return ()
    kept = (DefectImage.verdict_id.in_(these(verdict_ids)), DefectImage.removed_at.is_(None))
    return connection.scalars(select(DefectImage.verdict_id).where(*kept))
