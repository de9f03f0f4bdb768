"""What the database itself says was recorded: the books of a run are checked against it, not against a message."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.errors import BoardlineError
from records import database
from records.tables import Inspection


class RecordsUnreadable(BoardlineError, ConnectionError):
    """The database does not say what was recorded."""


def rows_by_board(database_url: str, line: str = "pcb", since: datetime | None = None) -> Mapping[str, int]:
    """Number of inspections of each board id on a line, of those captured at `since` (UTC) or later.

    Raises:
        RecordsUnreadable: the database does not answer.
    """
    engine = database.make_engine(database.database_url(database_url))
    rows = select(Inspection.board_id, func.count()).where(Inspection.line == line).group_by(Inspection.board_id)
    if since is not None:
        rows = rows.where(Inspection.captured_at >= since.replace(tzinfo=None))
    try:
        with database.for_reading(engine).connect() as connection:
            return dict(connection.execute(rows).all())
    except SQLAlchemyError as error:
        raise RecordsUnreadable(f"the records cannot be read: {database.reason(error)}") from None
    finally:
        engine.dispose()
