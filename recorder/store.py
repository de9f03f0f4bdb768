"""Writes batches: one transaction each, and what is there already stays as it is."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, Engine, Insert, Table, func, select, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase

from recorder.batch import Batch, VerdictRecord
from recorder.database import write_error
from recorder.rows import Row
from recorder.tables import Actuation, DefectImage, Inspection, InspectionSide, RejectedMessage, SystemLog, Trigger


class Store:
    """The rows of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, batch: Batch) -> None:
        """Commit all of `batch`, or nothing of it.

        Raises:
            RowRefused: a row among them can never be written.
            DatabaseDown: the database does not take it now.
        """
        try:
            with self._engine.begin() as connection:
                _write(connection, batch)
        except (SQLAlchemyError, OverflowError, ValueError) as error:
            raise write_error(error) from error


def _write(connection: Connection, batch: Batch) -> None:
    fresh = _write_verdicts(connection, batch.verdicts)
    _insert(connection, Actuation, batch.actuations.values())
    _insert(connection, DefectImage, batch.images.values())
    _insert(connection, SystemLog, batch.logs.values())
    _insert(connection, Trigger, batch.triggers.values())
    _insert(connection, RejectedMessage, batch.rejected.values())
    _link_images(connection, fresh, {row["verdict_id"] for row in batch.images.values()})


def _write_verdicts(connection: Connection, verdicts: dict[str, VerdictRecord]) -> set[str]:
    """The ids of those that were not there yet."""
    fresh = verdicts.keys() - _inspection_ids(connection, verdicts).keys()
    _insert(connection, Inspection, (record.row for key, record in verdicts.items() if key in fresh))
    rows = [
        {"inspection_id": inspection_id, **side}
        for verdict_id, inspection_id in _inspection_ids(connection, fresh).items()
        for side in verdicts[verdict_id].sides
    ]
    _insert(connection, InspectionSide, rows)
    return fresh


def _inspection_ids(connection: Connection, verdict_ids: Collection[str]) -> dict[str, int]:
    if not verdict_ids:
        return {}
    found = select(Inspection.verdict_id, Inspection.id).where(Inspection.verdict_id.in_(verdict_ids))
    return {row.verdict_id: row.id for row in connection.execute(found)}


def _insert(connection: Connection, kind: type[DeclarativeBase], rows: Iterable[Row]) -> None:
    listed = list(rows)
    if listed:
        table = kind.__table__
        assert isinstance(table, Table)
        connection.execute(_keeping_present(table, connection.dialect.name), listed)


def _keeping_present(table: Table, dialect: str) -> Insert:
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    # INSERT IGNORE would also swallow values that do not fit.
    return mysql.insert(table).on_duplicate_key_update(id=table.c.id)


def _link_images(connection: Connection, fresh: set[str], pictured: set[str]) -> None:
    """Set `image_path` where a picture came now, or before its verdict: the deciding side's, else the first side's."""
    if fresh:
        earlier = select(DefectImage.verdict_id).where(DefectImage.verdict_id.in_(fresh))
        pictured = pictured | set(connection.scalars(earlier))
    if not pictured:
        return
    pictures = select(DefectImage.path).where(DefectImage.verdict_id == Inspection.verdict_id)
    deciding = pictures.where(DefectImage.camera_id == Inspection.camera_id).scalar_subquery()
    first = pictures.order_by(DefectImage.camera_id).limit(1).scalar_subquery()
    best = func.coalesce(deciding, first)
    connection.execute(update(Inspection).where(Inspection.verdict_id.in_(pictured)).values(image_path=best))
