"""Brings the tables up to date. The migrations travel inside this package, so any working directory serves."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from pcb_bus.errors import ConfigError
from records.database import KEY, for_reading, is_sqlite, make_engine, make_folder, never_works, reason, shown, way_out
from records.errors import DatabaseDown

_MIGRATIONS = Path(__file__).parent / "migrations"
_ONE_AT_A_TIME = threading.Lock()  # Alembic keeps the migration under way in module globals
_PATIENCE_S = 3
_OF_A_CONNECTION = (SQLAlchemyError, RuntimeError, TypeError, ValueError)  # some are of options in the URL


def bring_up_to_date(url: URL, line: str, zone: ZoneInfo, image_url: str = "/images") -> None:
    """Connect and run the migrations that are missing; makes the folder of a SQLite file.

    What an earlier version wrote becomes the line's own, its times those of `zone`; its pictures are below `image_url`.

    Raises:
        ConfigError: it will never work with this URL; one line that names the key.
        DatabaseDown: it does not work now, or another program is at it.
    """
    if is_sqlite(url):
        make_folder(url)
    with _connecting(url) as engine, _told(url):
        is_behind = _revision(engine) != _head()
    if is_behind:
        with _connecting(url, patient=True) as engine, _told(url, (SQLAlchemyError,)):
            upgrade(engine, line, zone, image_url=image_url)


def check_tables(engine: Engine) -> None:
    """Of programs that read and never migrate.

    Raises:
        ConfigError: the tables are not those of this version, or it will never work with this URL.
        DatabaseDown: it does not answer.
    """
    with _told(engine.url):
        found = _revision(engine)
    if found != _head():
        has = "has the tables of another version" if found else "has no tables yet"
        raise ConfigError(f"{KEY}: {shown(engine.url)} {has}: run `python -m recorder migrate`")


@contextmanager
def _connecting(url: URL, *, patient: bool = False) -> Iterator[Engine]:
    engine = make_engine(url, patient=patient)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _told(url: URL, faults: tuple[type[Exception], ...] = _OF_A_CONNECTION) -> Iterator[None]:
    """What the database refuses, as a ConfigError if it will never work, else as DatabaseDown."""
    try:
        yield
    except CommandError as error:
        raise ConfigError(f"{KEY}: {shown(url)} does not fit this version of the program: {error}") from None
    except faults as error:
        if never_works(error):
            raise ConfigError(f"{KEY}: {shown(url)}: {reason(error)}{way_out(error)}") from None
        raise DatabaseDown(reason(error)) from None


def upgrade(engine: Engine, line: str, zone: ZoneInfo, revision: str = "head", image_url: str = "/images") -> None:
    """Run the migrations that are still missing, up to `revision`. One that was cut off goes on where it was.

    Raises:
        alembic.util.CommandError: the database is of a revision that this version does not know.
        DatabaseDown: another program is at it.
        sqlalchemy.exc.SQLAlchemyError: the database refuses.
    """
    config = _config()
    with _ONE_AT_A_TIME, engine.connect() as connection:
        _be_alone(connection)
        config.attributes.update(connection=connection, line=line, zone=zone, image_url=image_url)
        with connection.begin():
            command.upgrade(config, revision)


def _be_alone(connection: Connection) -> None:
    """No other program migrates this database until `connection` is closed. On SQLite its transaction sees to that."""
    connection.detach()  # so that it is closed, and does not go back to the pool
    if connection.dialect.name == "sqlite":
        # A table that is made anew is dropped first, which would take with it what refers to its rows.
        connection.connection.cursor().execute("PRAGMA foreign_keys = OFF")
        return
    name = func.concat("boardline ", func.left(func.sha2(func.database(), 256), 32))
    if not connection.scalar(select(func.get_lock(name, _PATIENCE_S))):
        raise DatabaseDown("another program is bringing its tables up to date; this one waits until it has finished")
    connection.commit()


def _revision(engine: Engine) -> str | None:
    with for_reading(engine).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config
