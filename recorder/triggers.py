"""Passes that were announced: open until they have an inspection. Within a transaction of the caller's."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Connection, select, update

from recorder.bulk import insert_rows, these
from recorder.rows import Row
from recorder.tables import Trigger


def insert_triggers(connection: Connection, rows: Iterable[Row], inspected: Collection[str]) -> None:
    """Insert what is not there yet: closed if it is `inspected`, else open."""
    closed_or_open = [row | {"open": row["verdict_id"] not in inspected} for row in rows]
    insert_rows(connection, Trigger, closed_or_open, keep_present=True)


def close_inspected(connection: Connection, verdict_ids: Collection[str]) -> None:
    """Close the open triggers of passes that have their inspection now."""
    if verdict_ids:
        # Read, then closed by key: an update that finds nothing would lock the gaps in which triggers are inserted.
        still_open = select(Trigger.id).where(Trigger.verdict_id.in_(these(verdict_ids)), Trigger.open)
        close(connection, connection.scalars(still_open).all())


def close(connection: Connection, ids: Collection[int]) -> None:
    if ids:
        connection.execute(update(Trigger).where(Trigger.id.in_(these(ids))).values(open=False))


def overdue(connection: Connection, received_before: datetime, limit: int) -> list[Row]:
    """Open triggers, oldest first: `id`, `verdict_id`, `board_id`, `triggered_at`."""
    columns = (Trigger.id, Trigger.verdict_id, Trigger.board_id, Trigger.triggered_at)
    late = select(*columns).where(Trigger.open, Trigger.received_at < received_before)
    rows = connection.execute(late.order_by(Trigger.received_at).limit(limit))
    return [row._asdict() for row in rows]
