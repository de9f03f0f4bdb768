"""What the database says when it cannot, and when it never will: what passes is tried again, a row's fault is not."""

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pymysql
import pytest
from pymysql.err import raise_mysql_exception
from sqlalchemy import Engine, event, exc, func, insert, select, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from support.mariadb import MariaDb

from records.database import database_url, make_engine, meaning, probe
from records.errors import DatabaseDown
from records.migrate import bring_up_to_date
from records.tables import LineState, SystemConfig, SystemLog

LEAST_CONNECTIONS = 10  # MariaDB takes no fewer
LINE, ZONE = "pcb", ZoneInfo("UTC")
PASSING = {
    1021: "disk full",
    1040: "too many connections",
    1114: "the table is full",
    1146: "no such table",
    1203: "more connections than the login may have",
    1205: "lock wait timeout",
    1290: "read-only",
    1836: "read-only mode",
    2006: "gone away",
    2013: "lost connection",
}
RACE = {1020: "record has changed since last read", 1062: "duplicate entry", 1213: "deadlock"}
ROW = {
    1048: "column cannot be null",
    1153: "packet too large",
    1264: "out of range",
    1366: "incorrect string value",
    1367: "illegal double value found during parsing",
    1406: "data too long",
    4025: "constraint failed",
    9999: "nobody knows",
}
SAID = [*((number, "passing") for number in PASSING), *((number, "race") for number in RACE)]


@pytest.mark.parametrize(("number", "means"), [*SAID, *((number, "row") for number in ROW)])
def test_an_error_means_what_its_number_says(number: int, means: str) -> None:
    text = (PASSING | RACE | ROW)[number]
    packet = b"\xff" + struct.pack("<h", number) + b"#HY000" + text.encode()
    with pytest.raises(pymysql.Error) as failure:
        raise_mysql_exception(packet)
    wrapped = exc.DBAPIError.instance("INSERT", (), failure.value, pymysql.Error)
    assert isinstance(wrapped, exc.DBAPIError)
    assert meaning(wrapped) == means


@pytest.mark.parametrize(
    ("changes", "means"),
    [
        ({"message": "\ud800"}, "row"),  # half of a surrogate pair
        ({"level": None}, "row"),
        ({"digest": "known"}, "race"),
        ({"details": object()}, "row"),
    ],
)
def test_a_value_is_the_fault_of_its_row(engine: Engine, changes: dict[str, Any], means: str) -> None:
    write(engine, digest="known")
    with pytest.raises((exc.SQLAlchemyError, ValueError)) as failure:
        write(engine, **({"digest": "new"} | changes))
    assert meaning(failure.value) == means
    probe(engine, LINE)


def write(engine: Engine, **changes: Any) -> None:
    row = {"line": LINE, "digest": "1", "level": "info", "source": "x", "message": "", "details": {}}
    with engine.begin() as connection:
        connection.execute(insert(SystemLog).values(row | {"logged_at": datetime.now(UTC)} | changes))


def logs(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(SystemLog)) or 0


def test_a_probe_writes_nothing_that_stays(engine: Engine) -> None:
    """Least of all when the line was last seen: the clock may be in doubt."""
    with engine.begin() as connection:
        connection.execute(insert(LineState).values(line=LINE, seen_at=datetime(2026, 1, 1, tzinfo=UTC)))
    for line in (LINE, LINE, "pcb/line2", "x" * 64):
        probe(engine, line)
    with engine.connect() as connection:
        assert connection.execute(select(LineState.line, LineState.seen_at)).all() == [
            (LINE, datetime(2026, 1, 1, tzinfo=UTC))
        ]


def test_json_is_readable_in_any_language(engine: Engine) -> None:
    row = {"line": LINE, "key": "fps", "value": {"기판": "실장"}, "updated_at": datetime.now(UTC)}
    with engine.begin() as connection:
        connection.execute(insert(SystemConfig).values(row))
        text = connection.exec_driver_sql("SELECT value FROM system_config").scalar_one()
    assert "실장" in text
    assert json.loads(text) == row["value"]


@pytest.fixture
def plain_engine(mariadb: MariaDb) -> Iterator[Engine]:
    """Tables, and a login without the rights of an administrator, which limits do not hold for."""
    root = database_url(mariadb.fresh_database())
    bring_up_to_date(root, LINE, ZONE)
    mariadb.execute(
        "CREATE OR REPLACE USER 'plain'@'127.0.0.1' IDENTIFIED BY 'plain'",
        f"GRANT ALL ON {root.database}.* TO 'plain'@'127.0.0.1'",
    )
    engine = make_engine(root.set(username="plain", password="plain"))
    yield engine
    engine.dispose()
    mariadb.execute("SET GLOBAL read_only = 0", "SET GLOBAL max_connections = 151")


def down_then_up(engine: Engine, mend: Callable[[], None]) -> None:
    """A write fails as one that may be repeated, and so does a probe; both succeed once `mend` was called."""
    with pytest.raises(exc.SQLAlchemyError) as failure:
        write(engine)
    assert meaning(failure.value) == "passing"
    with pytest.raises(DatabaseDown):
        probe(engine, LINE)
    mend()
    write(engine)
    probe(engine, LINE)
    assert logs(engine) == 1


def test_a_read_only_server_is_down(plain_engine: Engine, mariadb: MariaDb) -> None:
    mariadb.execute("SET GLOBAL read_only = 1")
    down_then_up(plain_engine, lambda: mariadb.execute("SET GLOBAL read_only = 0"))


def test_a_server_without_a_free_connection_is_down(plain_engine: Engine, mariadb: MariaDb) -> None:
    mariadb.execute(f"SET GLOBAL max_connections = {LEAST_CONNECTIONS}")
    url = plain_engine.url
    others = [
        pymysql.connect(host="127.0.0.1", port=url.port or 0, user="plain", password="plain")
        for _ in range(LEAST_CONNECTIONS)
    ]
    try:
        # One connection more than the limit is the administrator's, so that this can be mended.
        down_then_up(plain_engine, lambda: mariadb.execute("SET GLOBAL max_connections = 151"))
    finally:
        for other in others:
            other.close()


def test_a_login_without_a_free_connection_is_down(plain_engine: Engine, mariadb: MariaDb) -> None:
    limit = "ALTER USER 'plain'@'127.0.0.1' WITH MAX_USER_CONNECTIONS"
    mariadb.execute(f"{limit} 1")
    url = plain_engine.url
    with closing(pymysql.connect(host="127.0.0.1", port=url.port or 0, user="plain", password="plain")):
        down_then_up(plain_engine, lambda: mariadb.execute(f"{limit} 0"))


def test_a_lock_that_is_not_released_is_down(plain_engine: Engine) -> None:
    event.listen(plain_engine, "connect", _wait_a_second_for_locks)
    probe(plain_engine, LINE)
    with plain_engine.connect() as other:
        other.execute(update(LineState).values(keep_until=datetime.now(UTC)))
        with pytest.raises(DatabaseDown, match="Lock wait timeout"):
            probe(plain_engine, LINE)
        other.rollback()
    probe(plain_engine, LINE)


def _wait_a_second_for_locks(connection: DBAPIConnection, _: object) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")


def test_a_connection_that_is_cut_is_down(plain_engine: Engine, mariadb: MariaDb) -> None:
    with plain_engine.connect() as connection:
        number = connection.exec_driver_sql("SELECT CONNECTION_ID()").scalar_one()
        mariadb.execute(f"KILL {number}")
        with pytest.raises(exc.SQLAlchemyError) as failure:
            connection.execute(select(func.count()).select_from(SystemLog))
    assert meaning(failure.value) == "passing"


def test_a_pool_that_is_used_up_is_down() -> None:
    assert meaning(exc.TimeoutError("QueuePool limit of size 5 reached")) == "passing"


def test_a_row_too_large_for_the_server_is_its_own_fault(mariadb: MariaDb) -> None:
    url = database_url(mariadb.fresh_database())
    bring_up_to_date(url, LINE, ZONE)
    mariadb.execute("SET GLOBAL max_allowed_packet = 65536")
    engine = make_engine(url)
    try:
        with pytest.raises(exc.SQLAlchemyError) as failure:
            write(engine, message="x" * 70_000)
        assert meaning(failure.value) == "row"
        probe(engine, LINE)
        write(engine)
        assert logs(engine) == 1
    finally:
        engine.dispose()
        mariadb.execute("SET GLOBAL max_allowed_packet = 16777216")
