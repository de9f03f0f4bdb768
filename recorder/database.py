"""The database behind a URL: what the URL may be, how to connect, and what an error of the driver means."""

from pathlib import Path

from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
from sqlalchemy.pool import ConnectionPoolEntry

from pcb_bus.errors import ConfigError
from recorder.bulk import to_json
from recorder.errors import DatabaseDown, RowRefused
from recorder.schema import upgrade

KEY = "recorder.database_url"
_MYSQL, _SQLITE = "mysql+pymysql", "sqlite+pysqlite"
_DRIVERS = {
    "mysql": _MYSQL,
    "mysql+pymysql": _MYSQL,
    "mariadb": _MYSQL,
    "mariadb+pymysql": _MYSQL,
    "sqlite": _SQLITE,
    "sqlite+pysqlite": _SQLITE,
}
_SQLITE_PRAGMAS = ("busy_timeout = 2000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
_MYSQL_OPTIONS = {
    "connect_timeout": 5,
    "init_command": "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 5,"
    # Text is written with backslashes, see recorder/literals.py.
    " sql_mode = CONCAT(REPLACE(@@sql_mode, 'NO_BACKSLASH_ESCAPES', ''), ',STRICT_TRANS_TABLES')",
}
_TIMEOUTS = {"read_timeout": 15, "write_timeout": 15}

# Server error numbers. Those of a configuration that waiting does not mend: a login or database that is not there.
_MISCONFIGURED = frozenset({1044, 1045, 1049, 1102, 1130, 1142, 1227, 1251, 1698, 2059})
# Those of a value too long to send, or that breaks a check of its column (JSON among them): to PyMySQL operational.
_TOO_LARGE = 1153
_BAD_VALUE = frozenset({_TOO_LARGE, 1292, 3140, 3141, 3157, 3819, 4025})
# Those of a transaction that another writer came before: a key taken meanwhile, a deadlock, a row changed since read.
_LOST_RACE = frozenset({1020, 1062, 1213})


def database_url(text: str) -> URL:
    """`text` with the driver that the recorder brings.

    Raises:
        ConfigError: not a URL of MySQL, MariaDB or a SQLite file. The line does not repeat it: there may be a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(f"{KEY}: not a database URL; write sqlite:///file or mysql://user:password@host/db") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigError(f"{KEY}: {url.drivername} is not supported; use sqlite or mysql")
    if driver == _SQLITE and url.database in (None, "", ":memory:"):
        raise ConfigError(f"{KEY}: SQLite needs a file, as in sqlite:///var/recorder/boardline.db")
    if driver == _MYSQL and not url.database:
        raise ConfigError(f"{KEY}: {shown(url)} names no database")
    return url.set(drivername=driver)


def shown(url: URL) -> str:
    """The URL as it may be logged: neither the password nor options, which may hold one."""
    return url.set(query={}).render_as_string(hide_password=True)


def make_engine(url: URL, *, patient: bool = False) -> Engine:
    """Connects on first use. A `patient` engine waits for a statement as long as it takes, as migrations need."""
    engine = create_engine(
        url,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={} if url.drivername == _SQLITE else _MYSQL_OPTIONS | ({} if patient else _TIMEOUTS),
        json_serializer=to_json,
    )
    if url.drivername == _SQLITE:
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "handle_error", _mark_hung_up)
    return engine


def for_reading(engine: Engine) -> Engine:
    """The same connections for reading alone: on SQLite no writer waits for them."""
    return engine.execution_options(reading=True)


def bring_up_to_date(url: URL) -> None:
    """Connect and run the migrations that are missing; makes the folder of a SQLite file.

    Raises:
        ConfigError: it will never work with this URL; one line that names the key.
        DatabaseDown: it does not work now.
    """
    if url.drivername == _SQLITE:
        _make_folder(url)
    engine = make_engine(url, patient=True)
    try:
        upgrade(engine)
    except CommandError as error:
        raise ConfigError(f"{KEY}: {shown(url)} does not fit this version of the recorder: {error}") from None
    except (SQLAlchemyError, RuntimeError, TypeError, ValueError) as error:
        if _never_works(error):
            raise ConfigError(f"{KEY}: {shown(url)}: {reason(error)}") from None
        raise DatabaseDown(reason(error)) from None
    finally:
        engine.dispose()


def write_error(error: Exception) -> RowRefused | DatabaseDown:
    """What the failure of a write means: the row's fault, or the database's."""
    at_fault = (
        isinstance(error, DataError | IntegrityError | OverflowError | ValueError)
        or (isinstance(error, StatementError) and not isinstance(error, DBAPIError))
        or _number(error) in _BAD_VALUE
    )
    return RowRefused(reason(error)) if at_fault else DatabaseDown(reason(error))


def lost_a_race(error: Exception) -> bool:
    """Whether the same transaction, begun anew, may well succeed at once."""
    sqlite_name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    return _number(error) in _LOST_RACE or sqlite_name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_BUSY_SNAPSHOT"}


def reason(error: Exception) -> str:
    """One line without the statement."""
    cause = getattr(error, "orig", None) or error
    return str(cause.args[-1] if cause.args else type(cause).__name__)


def _number(error: Exception) -> int | str | None:
    arguments = getattr(getattr(error, "orig", None), "args", ())
    return arguments[0] if arguments else None


def _never_works(error: Exception) -> bool:
    if not isinstance(error, SQLAlchemyError):
        return True  # the driver does not know an option of the URL, or the login's plugin
    if _number(error) in _MISCONFIGURED:
        return True
    sqlite_name = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    return sqlite_name.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM"))


def _make_folder(url: URL) -> None:
    folder = Path(url.database or "").parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{KEY}: cannot make the folder {folder}: {error.strerror}") from None


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would begin too late for a migration to be one transaction; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _mark_hung_up(context: ExceptionContext) -> None:
    # The server hangs up on a packet that is too large; a rollback would only hide why.
    if context.original_exception.args[:1] == (_TOO_LARGE,):
        context.is_disconnect = True


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
