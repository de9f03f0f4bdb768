"""Brings the tables up to date. The migrations travel inside this package, so any working directory serves."""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

_MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps the migration under way in module globals


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations that are still missing, up to `revision`.

    Raises:
        alembic.util.CommandError: the database is of a revision that this version does not know.
        sqlalchemy.exc.SQLAlchemyError: the database refuses.
    """
    with _ONE_AT_A_TIME, engine.begin() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take migrations back, down to `revision` (`base`: all). Raises as `upgrade` does."""
    with _ONE_AT_A_TIME, engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
