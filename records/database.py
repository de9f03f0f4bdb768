"""The database behind a URL: what the URL may be, how to connect, and what an error of the driver means."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic_core import to_json
from pymysql.err import OperationalError
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, delete, event, insert, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from pcb_bus.durable.files import make_private, why_denied
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import redact, remember
from records.errors import DatabaseDown
from records.tables import LineState

KEY, _PASSWORD_KEY = "recorder.database_url", "recorder.database_password_file"
_MYSQL, _SQLITE = "mysql+pymysql", "sqlite+pysqlite"
_DRIVERS = {
    "mysql": _MYSQL,
    "mysql+pymysql": _MYSQL,
    "mariadb": _MYSQL,
    "mariadb+pymysql": _MYSQL,
    "sqlite": _SQLITE,
    "sqlite+pysqlite": _SQLITE,
}
_FILE = "password_file"  # in the query of a URL: it travels with it, and is read at each connection
_ENCODE = "in a user or password, write %40 for @, %2F for / and %3A for a colon"
_SQLITE_PRAGMAS = ("busy_timeout = 2000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
_MYSQL_OPTIONS = {
    "connect_timeout": 5,
    "init_command": "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 5,"
    " sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')",
}
_TIMEOUTS = {"read_timeout": 15, "write_timeout": 15}
_TOO_LARGE, _ACCESS_DENIED = 1153, 1045
_NAME = 64  # characters of `line_states.line`

# What passes, by the server's error number: it is full, busy, being restarted or set up, or its disk fails.
_PASSING = frozenset(
    {1021, 1023, 1026, 1028, 1030, 1037, 1038, 1040, 1041, 1044, 1045, 1049, 1053, 1077, 1078, 1080, 1102, 1114, 1129}
    | {1130, 1135, 1142, 1146, 1152, 1154, 1158, 1159, 1160, 1161, 1180, 1181, 1184, 1188, 1194, 1195, 1203, 1205, 1206}
    | {1223, 1226, 1227, 1251, 1290, 1317, 1412, 1613, 1615, 1637, 1698, 1836, 1874, 1927, 1969, 2059, 3024}
)
_CLIENT_ERRORS = range(2000, 2100)  # of the connection
_PASSING_ON_SQLITE = (
    "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_NOMEM",
    "SQLITE_PERM", "SQLITE_PROTOCOL", "SQLITE_INTERRUPT", "SQLITE_SCHEMA", "SQLITE_CORRUPT", "SQLITE_NOTADB",
)  # fmt: skip
# Another writer came before: a key taken meanwhile, a deadlock, a row changed since it was read.
_LOST_RACE = frozenset({1020, 1062, 1213})
# Of these a program that starts ends at once: waiting does not mend a login or database that is not there.
_NOT_MADE = frozenset({1044, 1045, 1049, 1130, 1142, 1698})
_MISCONFIGURED = _NOT_MADE | {1102, 1227, 1251, 2059}

Meaning = Literal["passing", "race", "row"]


def database_url(text: str, password: str | None = None, password_file: Path | None = None) -> URL:
    """`text` with the driver that the project brings, and with its password or where that stands.

    Raises:
        ConfigError: not a URL of MySQL, MariaDB or a SQLite file, or no password can be had. The line does not repeat
            the URL: there may be a password.
    """
    remember({"url": text, "password": password})
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        hint = f"; {_ENCODE}" if "://" in text else ""
        message = f"{KEY}: not a database URL; write sqlite:///file or mysql://user@host/db{hint}"
        raise ConfigError(message) from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise ConfigError(f"{KEY}: {url.drivername} is not supported; use sqlite or mysql")
    if driver == _SQLITE and url.database in (None, "", ":memory:"):
        raise ConfigError(f"{KEY}: SQLite needs a file, as in sqlite:///var/recorder/boardline.db")
    if driver == _SQLITE:
        return url.set(drivername=driver)
    return _with_password(_of_server(url.set(drivername=driver)), password, password_file)


def _with_password(url: URL, password: str | None, file: Path | None) -> URL:
    password = None if password == url.password else password
    given = {"database_url": url.password, "database_password": password, "database_password_file": file}
    named = [f"recorder.{key}" for key, value in given.items() if value is not None]
    if len(named) > 1:
        raise ConfigError(f"{named[0]}: has a password, and so has {named[1]}: leave one of them out")
    if file is not None:
        read_password(file)
        return url.update_query_dict({_FILE: str(file.absolute())})
    return url if password is None else url.set(password=password)


def read_password(file: Path, key: str = _PASSWORD_KEY) -> str:
    """The one in the file that `key` names.

    Raises:
        ConfigError: it cannot be read, or holds none.
    """
    try:
        password = file.read_text(encoding="utf-8-sig").rstrip("\r\n")
    except OSError as error:
        raise ConfigError(f"{key}: cannot read {file}: {why_denied(error, file)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{key}: {file} is not UTF-8 text; save it as UTF-8") from None
    if not password or not password.isprintable():
        raise ConfigError(f"{key}: {file} must hold the password alone, on one line")
    remember({"password": password})
    return password


def _of_server(url: URL) -> URL:
    if "@" in f"{url.host}{url.database}":
        raise ConfigError(f"{KEY}: there are two @ in it; {_ENCODE}")
    if not url.database:
        raise ConfigError(f"{KEY}: {shown(url)} names no database")
    if url.query.get("charset", "utf8mb4") != "utf8mb4":
        raise ConfigError(f"{KEY}: charset must be utf8mb4: the names of defects and boards may be in any language")
    return url.update_query_dict({"charset": "utf8mb4"})


def shown(url: URL) -> str:
    """The URL as it may be logged: neither the password nor options, which may hold one."""
    return redact(url.set(query={}).render_as_string(hide_password=True))


def is_sqlite(url: URL) -> bool:
    return url.drivername == _SQLITE


def make_engine(url: URL, *, patient: bool = False) -> Engine:
    """Connects on first use. A `patient` engine waits for a statement as long as it takes, as migrations need."""
    engine = create_engine(
        url.difference_update_query([_FILE]),
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={} if is_sqlite(url) else _MYSQL_OPTIONS | ({} if patient else _TIMEOUTS),
        json_serializer=lambda value: to_json(value, inf_nan_mode="null").decode(),
    )
    if is_sqlite(url):
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "handle_error", _mark_hung_up)
        event.listen(engine, "do_connect", partial(_log_in, url))
    return engine


def _log_in(url: URL, dialect: Dialect, _: ConnectionPoolEntry, arguments: Any, options: dict[str, Any]) -> None:
    file, password = url.query.get(_FILE), url.password
    if file is not None:
        try:
            password = read_password(Path(str(file)))
        except ConfigError as error:
            # As if the server refused the login: it passes once the file is right again.
            raise OperationalError(_ACCESS_DENIED, str(error)) from None
    # PyMySQL encodes a text as Latin-1, which no password in Korean survives.
    options["password"] = None if password is None else str(password).encode()


def for_reading(engine: Engine) -> Engine:
    """The same connections for reading alone: on SQLite no writer waits for them."""
    return engine.execution_options(reading=True)


def meaning(error: Exception) -> Meaning:
    """What the failure of a statement means. What is not known to pass is the row's fault, until a probe fails too."""
    number, name = _number(error), _sqlite_name(error)
    if number in _LOST_RACE or name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_BUSY_SNAPSHOT"}:
        return "race"
    passing = number in _PASSING or number in _CLIENT_ERRORS or name.startswith(_PASSING_ON_SQLITE)
    # An error without a number is of the connection pool, or of a connection that was cut: not of a value.
    cut = isinstance(error, DBAPIError) and (error.connection_invalidated or number == 0) and number != _TOO_LARGE
    return "passing" if passing or cut or isinstance(error, PoolTimeout | OSError) else "row"


def probe(engine: Engine, line: str) -> None:
    """Write a row, and remove it again: whether the database lives. What is known of the line stays as it is.

    Raises:
        DatabaseDown: it does not.
    """
    name = f"#{line}"[:_NAME]  # no line is called so
    try:
        with engine.begin() as connection:
            connection.execute(insert(LineState).values(line=name, seen_at=datetime.now(UTC)))
            connection.execute(delete(LineState).where(LineState.line == name))
    except SQLAlchemyError as error:
        raise DatabaseDown(reason(error)) from error


def reason(error: Exception) -> str:
    """One line without the statement, and without secrets."""
    cause = getattr(error, "orig", None) or error
    return redact(str(cause.args[-1] if cause.args else type(cause).__name__))


def way_out(error: Exception) -> str:
    """What to do about a database or a login that is not there, or lacks its rights."""
    return "; docs/database.md says how to make database and login" if _number(error) in _NOT_MADE else ""


def never_works(error: Exception) -> bool:
    """Whether a program that starts with this had better end: its URL, login or file is wrong."""
    if not isinstance(error, SQLAlchemyError):
        return True  # the driver does not know an option of the URL, or the login's plugin
    if _number(error) in _MISCONFIGURED:
        return True
    return _sqlite_name(error).startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM"))


def _number(error: Exception) -> int | None:
    arguments = getattr(getattr(error, "orig", None), "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _sqlite_name(error: Exception) -> str:
    name: str = getattr(getattr(error, "orig", None), "sqlite_errorname", "")
    return name


def make_folder(url: URL) -> None:
    """Of a SQLite file; and the file, for this user alone.

    Raises:
        ConfigError: it cannot be made.
    """
    file = Path(url.database or "")
    try:
        if not url.query.get("uri"):
            make_private(file)
    except OSError as error:
        raise ConfigError(f"{KEY}: cannot use {file}: {why_denied(error, file)}") from None


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would begin too late for a migration to be one transaction; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _mark_hung_up(context: ExceptionContext) -> None:
    # The server hangs up on a packet that is too large; a rollback would only hide why.
    if context.original_exception.args[:1] == (_TOO_LARGE,):
        context.is_disconnect = True
