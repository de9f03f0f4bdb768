"""What the database itself says was recorded: the books of a run are checked against it, not against a message."""

from collections.abc import Mapping

from sqlalchemy import create_engine, text


def rows_by_board(database_url: str) -> Mapping[str, int]:
    """Number of inspections of each board id."""
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT board_id, COUNT(*) FROM inspections GROUP BY board_id"))
            return {str(board_id): int(count) for board_id, count in rows}
    finally:
        engine.dispose()
