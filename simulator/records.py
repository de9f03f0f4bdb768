"""What the database itself says was recorded: the books of a run are checked against it, not against a message."""

from collections.abc import Mapping

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.errors import BoardlineError


class RecordsUnreadable(BoardlineError, ConnectionError):
    """The database does not say what was recorded."""


def rows_by_board(database_url: str) -> Mapping[str, int]:
    """Number of inspections of each board id.

    Raises:
        RecordsUnreadable: the database does not answer.
    """
    url = make_url(database_url)
    if url.drivername in {"mysql", "mariadb"}:
        url = url.set(drivername=f"{url.drivername}+pymysql")  # as the recorder does
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT board_id, COUNT(*) FROM inspections GROUP BY board_id"))
            return {str(board_id): int(count) for board_id, count in rows}
    except SQLAlchemyError as error:
        raise RecordsUnreadable(f"the records cannot be read: {error}") from None
    finally:
        engine.dispose()
