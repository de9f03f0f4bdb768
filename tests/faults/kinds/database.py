"""A database that is away, refuses, waits or is slow."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from random import Random

import pymysql
from pymysql.cursors import Cursor
from support.cable import Condition

from faults.catalogue import fault
from faults.line import DATABASE, LOGIN, NEIGHBOUR, PASSWORD, FaultLine
from faults.operator import NotAsPromised

_FEWEST_CONNECTIONS = 10  # MariaDB takes no less for max_connections
_ATTEMPTS = 20
_LATE_INDEX = "ix_inspections_product_inspection_time"
_MIGRATED_S = 30.0
_ANOTHER_LINE = "pcb/another"


@fault("database stopped", lasts=(1.0, 4.0))
def stopped(line: FaultLine, rng: Random) -> Iterator[None]:
    line.mariadb.stop()
    try:
        yield
    finally:
        line.mariadb.start()


@fault("database killed", lasts=(0.0, 3.0))
def killed(line: FaultLine, rng: Random) -> Iterator[None]:
    line.mariadb.kill()
    try:
        yield
    finally:
        line.mariadb.start()


@fault("database frozen", lasts=(1.0, 5.0))
def frozen(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.mariadb.frozen():
        yield


@fault("database read-only", lasts=(1.0, 4.0))
def read_only(line: FaultLine, rng: Random) -> Iterator[None]:
    line.mariadb.execute("SET GLOBAL read_only = 1")
    try:
        yield
    finally:
        line.mariadb.execute("SET GLOBAL read_only = 0")


@fault("database locked", lasts=(1.0, 4.0))
def locked(line: FaultLine, rng: Random) -> Iterator[None]:
    with closing(line.mariadb.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        yield


@fault("database slow", lasts=(2.0, 4.0))
def slow(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.to_database.being(Condition(delay_s=rng.uniform(0.05, 0.2))):
        yield


@fault("database out of connections", lasts=(1.0, 4.0))
def out_of_connections(line: FaultLine, rng: Random) -> Iterator[None]:
    with closing(line.mariadb.connect()) as connection, connection.cursor() as root, ExitStack() as taken:
        root.execute(f"SET GLOBAL max_connections = {_FEWEST_CONNECTIONS}")
        taken.callback(root.execute, "SET GLOBAL max_connections = 151")
        _take_every_place(root, line.mariadb.port, taken)
        yield


@fault("database cut off", lasts=(1.0, 4.0))
def cut_off(line: FaultLine, rng: Random) -> Iterator[None]:
    with line.to_database.unplugged():
        yield


@fault("migration interrupted", lasts=(0.0, 2.0))
def interrupted_migration(line: FaultLine, rng: Random) -> Iterator[None]:
    """As an upgrade that was killed leaves the tables: what it had done is there, the number of its revision is not."""
    line.mariadb.execute(
        f"UPDATE {DATABASE}.alembic_version SET version_num = '0003'",
        f"ALTER TABLE {DATABASE}.inspections DROP INDEX IF EXISTS {_LATE_INDEX}",
    )
    line.kill("recorder")
    yield
    if not line.witness.wait_until(lambda: _has_index(line), _MIGRATED_S):
        raise NotAsPromised("an interrupted migration does not go on")


def _has_index(line: FaultLine) -> bool:
    with closing(line.mariadb.connect()) as connection, connection.cursor() as cursor:
        return bool(cursor.execute(f"SHOW INDEX FROM {DATABASE}.inspections WHERE Key_name = %s", (_LATE_INDEX,)))


@fault("another line in the database", lasts=(1.0, 3.0))
def another_line(line: FaultLine, rng: Random) -> Iterator[None]:
    """It has boards with the same ids, an alert, and statistics of the same hours; each keeps what is its own."""
    with closing(line.mariadb.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"USE {DATABASE}")
        for table in ("inspections", "triggers", "board_statistics", "alerts"):
            _copy_rows(cursor, table)
        connection.commit()
        before = _rows_of_neighbour(cursor)
        line.kill("recorder")
        yield
        connection.commit()
        if _rows_of_neighbour(cursor) != before:
            raise NotAsPromised("the rows of another line were changed")


def _copy_rows(cursor: Cursor, table: str) -> None:
    """All of the line's as those of another; what was copied before stays."""
    cursor.execute(f"SHOW COLUMNS FROM {table}")
    names = [f"`{row[0]}`" for row in cursor.fetchall() if row[0] not in ("id", "line")]
    columns = ", ".join(names)
    cursor.execute(
        f"INSERT IGNORE INTO {table} (line, {columns})"
        f" SELECT '{_ANOTHER_LINE}', {columns} FROM {table} WHERE line = 'pcb'"
    )


def _rows_of_neighbour(cursor: Cursor) -> list[object]:
    found: list[object] = []
    for table in ("inspections", "triggers", "board_statistics", "alerts"):
        cursor.execute(f"SELECT * FROM {table} WHERE line = '{_ANOTHER_LINE}' ORDER BY 1, 2, 3")
        found.append(cursor.fetchall())
    return found


def _take_every_place(root: Cursor, port: int, taken: ExitStack) -> None:
    """A neighbour holds every connection that the server grants; the recorder, put out, may have come back first."""
    for _ in range(_ATTEMPTS):
        root.execute(f"KILL HARD USER '{LOGIN}'@'127.0.0.1'")
        _take_places(port, taken)
        if not root.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (LOGIN,)):
            return
    raise TimeoutError("the recorder keeps its connection")


def _take_places(port: int, taken: ExitStack) -> None:
    while True:
        try:
            place = pymysql.connect(host="127.0.0.1", port=port, user=NEIGHBOUR, password=PASSWORD)
        except pymysql.err.OperationalError:
            return  # there are no more
        taken.callback(place.close)
