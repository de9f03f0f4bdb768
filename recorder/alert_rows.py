"""The table of alerts: what is open in it, and what changes."""

from sqlalchemy import Connection, Engine, insert, select, update

from pcb_bus.contract.times import from_datetime, to_datetime
from recorder import tables
from recorder.alerts import Alert, Change, Key, Resolved
from recorder.database import for_reading

_MOST = 10_000


def open_alerts(engine: Engine) -> list[Alert]:
    """The latest that are open; raises SQLAlchemyError."""
    table = tables.Alert
    columns = (table.kind, table.subject, table.level, table.message, table.details, table.raised_at)
    newest = select(*columns).where(table.resolved_at.is_(None)).order_by(table.id.desc()).limit(_MOST)
    with for_reading(engine).connect() as connection:
        return [
            Alert(Key(row.kind, row.subject), row.level, row.message, from_datetime(row.raised_at), row.details)
            for row in connection.execute(newest)
        ]


def write_change(connection: Connection, change: Change, at: int) -> None:
    """Write what changed at `at` (ns since the epoch); once more does no harm."""
    table, alert = tables.Alert, change.alert
    still_open = (table.kind == alert.key.kind, table.subject == alert.key.subject, table.resolved_at.is_(None))
    if isinstance(change, Resolved):
        connection.execute(update(table).where(*still_open).values(resolved_at=to_datetime(at)))
    # A commit may have been done although its answer was lost: what is there is not written again.
    elif connection.execute(select(table.id).where(*still_open).limit(1)).first() is None:
        row = {
            "kind": alert.key.kind,
            "subject": alert.key.subject,
            "level": alert.level,
            "message": alert.message,
            "details": dict(alert.details),
            "raised_at": to_datetime(alert.at),
        }
        connection.execute(insert(table).values(**row))
