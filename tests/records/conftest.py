"""Databases of each kind: empty, with tables, and filled by the version before."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import URL, Engine
from support.mysql import connect_plainly, fresh_database, given_server

from records.database import database_url, is_sqlite, make_engine
from records.migrate import bring_up_to_date

MYSQL = given_server()
LINE = "pcb"
ZONE = ZoneInfo("Europe/Berlin")
BEFORE = Path(__file__).parent / "before"


@pytest.fixture(params=["sqlite", "mariadb", *(["mysql"] if MYSQL else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[URL]:
    """An empty database of each kind."""
    match request.param:
        case "mysql":
            assert MYSQL is not None
            with fresh_database(MYSQL) as mysql:
                yield mysql
        case "mariadb":
            yield database_url(request.getfixturevalue("mariadb_url"))
        case _:
            yield database_url(f"sqlite:///{tmp_path / 'records.db'}")


@pytest.fixture
def engine(url: URL) -> Iterator[Engine]:
    """The same with its tables."""
    bring_up_to_date(url, LINE, ZONE)
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def fill_as_before() -> Callable[[URL], None]:
    """Fills an empty database with what the recorder of revision 90dd896 wrote."""

    def fill(url: URL) -> None:
        if is_sqlite(url):
            with closing(sqlite3.connect(str(url.database))) as file:
                file.executescript((BEFORE / "sqlite.sql").read_text(encoding="utf-8"))
            return
        script = "SET foreign_key_checks = 0;\n" + (BEFORE / "mariadb.sql").read_text(encoding="utf-8")
        with closing(connect_plainly(url)) as connection, connection.cursor() as cursor:
            cursor.execute(script)
            while cursor.nextset():
                pass
            connection.commit()

    return fill
