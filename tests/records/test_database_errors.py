"""What the database says when it cannot, and when it never will: down is tried again, refused is not."""

import struct
from collections.abc import Iterator
from contextlib import closing

import pymysql
import pytest
from pymysql.err import raise_mysql_exception
from sqlalchemy import Engine, event, exc
from sqlalchemy.engine.interfaces import DBAPIConnection
from support.boards import count, trigger_record, verdict_record
from support.mariadb import MariaDb

from recorder.batch import group
from recorder.bulk import insert_rows
from recorder.database import bring_up_to_date, database_url, make_engine, write_error
from recorder.errors import DatabaseDown, RowRefused
from recorder.store import Store
from recorder.tables import Inspection

LEAST_CONNECTIONS = 10  # MariaDB takes no fewer

DOWN = {
    3: "error writing a file",
    28: "no space left on device",
    1020: "record has changed since last read",
    1021: "disk full",
    1040: "too many connections",
    1114: "the table is full",
    1146: "no such table",
    1203: "more connections than the login may have",
    1205: "lock wait timeout",
    1213: "deadlock",
    1290: "read-only",
    1792: "read-only transaction",
    1836: "read-only mode",
    2006: "gone away",
    2013: "lost connection",
}
REFUSED = {
    1048: "column cannot be null",
    1062: "duplicate entry",
    1153: "packet too large",
    1264: "out of range",
    1366: "incorrect string value",
    1406: "data too long",
    4025: "constraint failed",
}


def as_the_driver_raises(number: int, text: str) -> exc.DBAPIError:
    """The error of SQLAlchemy around that of PyMySQL, out of the packet that a server sends."""
    packet = b"\xff" + struct.pack("<h", number) + b"#HY000" + text.encode()
    try:
        raise_mysql_exception(packet)
    except pymysql.Error as error:
        wrapped = exc.DBAPIError.instance("INSERT", (), error, pymysql.Error)
        assert isinstance(wrapped, exc.DBAPIError)
        return wrapped


@pytest.mark.parametrize(("number", "text"), DOWN.items())
def test_what_passes_is_tried_again(number: int, text: str) -> None:
    assert isinstance(write_error(as_the_driver_raises(number, text)), DatabaseDown)


@pytest.mark.parametrize(("number", "text"), REFUSED.items())
def test_what_lies_in_the_row_is_refused(number: int, text: str) -> None:
    assert isinstance(write_error(as_the_driver_raises(number, text)), RowRefused)


@pytest.fixture
def plain_engine(mariadb: MariaDb) -> Iterator[Engine]:
    """Tables, and a login without the rights of an administrator, which limits do not hold for."""
    root = database_url(mariadb.fresh_database())
    bring_up_to_date(root)
    mariadb.execute(
        "CREATE OR REPLACE USER 'plain'@'127.0.0.1' IDENTIFIED BY 'plain'",
        f"GRANT ALL ON {root.database}.* TO 'plain'@'127.0.0.1'",
    )
    engine = make_engine(root.set(username="plain", password="plain"))
    yield engine
    engine.dispose()
    mariadb.execute("SET GLOBAL read_only = 0", "SET GLOBAL max_connections = 151")


def down_then_up(engine: Engine, mariadb: MariaDb, *mend: str) -> None:
    """A write fails as one that may be repeated, and the same one succeeds once `mend` was done."""
    store, batch = Store(engine), group([trigger_record(1), verdict_record(1)])
    with pytest.raises(DatabaseDown):
        store.write(batch)
    mariadb.execute(*mend)
    store.write(batch)
    assert count(engine, Inspection) == 1


def test_a_read_only_server_is_down(plain_engine: Engine, mariadb: MariaDb) -> None:
    mariadb.execute("SET GLOBAL read_only = 1")
    down_then_up(plain_engine, mariadb, "SET GLOBAL read_only = 0")


def test_a_server_without_a_free_connection_is_down(plain_engine: Engine, mariadb: MariaDb) -> None:
    mariadb.execute(f"SET GLOBAL max_connections = {LEAST_CONNECTIONS}")
    url = plain_engine.url
    others = [
        pymysql.connect(host="127.0.0.1", port=url.port or 0, user="plain", password="plain")
        for _ in range(LEAST_CONNECTIONS)
    ]
    try:
        # One connection more than the limit is the administrator's, so that this can be mended.
        down_then_up(plain_engine, mariadb, "SET GLOBAL max_connections = 151")
    finally:
        for other in others:
            other.close()


def test_a_login_without_a_free_connection_is_down(plain_engine: Engine, mariadb: MariaDb) -> None:
    mariadb.execute("ALTER USER 'plain'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")
    url = plain_engine.url
    with closing(pymysql.connect(host="127.0.0.1", port=url.port or 0, user="plain", password="plain")):
        down_then_up(plain_engine, mariadb, "ALTER USER 'plain'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 0")


def test_a_lock_that_is_not_released_is_down(plain_engine: Engine) -> None:
    event.listen(plain_engine, "connect", _wait_a_second_for_locks)
    store, batch = Store(plain_engine), group([verdict_record(1)])
    with plain_engine.connect() as other:
        insert_rows(other, Inspection, [verdict_record(1).row])
        with pytest.raises(DatabaseDown, match="Lock wait timeout"):
            store.write(batch)
        other.rollback()
    store.write(batch)
    assert count(plain_engine, Inspection) == 1


def _wait_a_second_for_locks(connection: DBAPIConnection, _: object) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")


def test_a_row_too_large_for_the_server_is_refused(mariadb: MariaDb) -> None:
    url = database_url(mariadb.fresh_database())
    bring_up_to_date(url)
    mariadb.execute("SET GLOBAL max_allowed_packet = 65536")
    engine = make_engine(url)
    try:
        large = verdict_record(1)
        large.row["boxes"] = [{"class": "x" * 70_000, "camera_id": "left"}]
        with pytest.raises(RowRefused):
            Store(engine).write(group([large]))
        Store(engine).write(group([verdict_record(2)]))
        assert count(engine, Inspection) == 1
    finally:
        engine.dispose()
        mariadb.execute("SET GLOBAL max_allowed_packet = 16777216")
