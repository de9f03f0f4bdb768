"""The migrations on each database: cut off anywhere, they go on; nothing but `migrate` and the recorder runs them."""

import itertools
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, Engine, event, inspect, text
from support.peer import until

from pcb_bus.errors import ConfigError
from records.database import database_url, make_engine
from records.errors import DatabaseDown
from records.migrate import bring_up_to_date, check_tables, upgrade
from records.tables import Base

LINE, ZONE = "pcb", ZoneInfo("Europe/Berlin")
READING = ("SELECT", "SHOW", "PRAGMA", "DESC", "SET", "BEGIN")
Fill = Callable[[URL], None]


class CutOffError(Exception):
    """What a kill -9 is to a program."""


@contextmanager
def cut_off(engine: Engine, allowed: int) -> Iterator[None]:
    """Within the block only so many statements that change anything go through."""
    left = itertools.count(allowed, -1)

    def look(_: object, __: object, statement: str, *___: object) -> None:
        if not statement.lstrip().upper().startswith(READING) and next(left) <= 0:
            raise CutOffError

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", look)


def cut_off_again_and_again(engine: Engine) -> int:
    """Begin anew until it is through, allowing a few statements a time. How often it was cut off.

    One alone would not do: what changes rows is kept by the statement after it, and some are made again each time.
    """
    for times in range(200):
        try:
            with cut_off(engine, (1, 2, 5, 7)[times % 4]):
                upgrade(engine, LINE, ZONE)
        except CutOffError:
            continue
        return times
    raise AssertionError("it does not get on")


def describe(engine: Engine) -> dict[str, Any]:
    """All that the database says of its tables."""
    look = inspect(engine)
    return {
        table: (
            [{**column, "type": str(column["type"])} for column in look.get_columns(table)],
            look.get_pk_constraint(table)["constrained_columns"],
            *(sorted(map(str, find(table))) for find in (look.get_indexes, look.get_unique_constraints)),
            sorted(map(str, look.get_foreign_keys(table))),
        )
        for table in look.get_table_names()
    }


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All rows. The ids of defects that were taken back are not given again."""
    with engine.connect() as connection:
        return {
            table.name: [tuple(row)[table.name == "defects" :] for row in connection.execute(table.select())]
            for table in Base.metadata.sorted_tables
        }


def test_migrated_tables_are_those_of_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("filled", [False, True])
def test_an_upgrade_cut_off_at_any_statement_goes_on(mariadb: Any, fill_as_before: Fill, filled: bool) -> None:
    urls = [database_url(mariadb.fresh_database()) for _ in range(2)]
    engines = [make_engine(url, patient=True) for url in urls]
    for url in urls if filled else []:
        fill_as_before(url)
    upgrade(engines[0], LINE, ZONE)
    assert cut_off_again_and_again(engines[1]) > 20
    assert describe(engines[1]) == describe(engines[0])
    assert contents(engines[1]) == contents(engines[0])
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize("allowed", [0, 1, 5, 20, 40, 60, 80])
def test_on_sqlite_it_is_one_transaction(tmp_path: Path, fill_as_before: Fill, allowed: int) -> None:
    url = database_url(f"sqlite:///{tmp_path / 'records.db'}")
    fill_as_before(url)
    engine = make_engine(url)
    before = describe(engine)
    with pytest.raises(CutOffError), cut_off(engine, allowed):
        upgrade(engine, LINE, ZONE)
    assert describe(engine) == before
    upgrade(engine, LINE, ZONE)
    check_tables(engine)
    engine.dispose()


def test_up_to_date_stays_as_it_is(url: URL, engine: Engine) -> None:
    with cut_off(engine, 0):
        upgrade(engine, LINE, ZONE)
    bring_up_to_date(url, LINE, ZONE)
    assert set(inspect(engine).get_table_names()) == {*Base.metadata.tables, "alembic_version"}


def test_any_working_directory_serves(url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    bring_up_to_date(url, LINE, ZONE)
    assert list(Path().iterdir()) == []


def test_what_only_reads_asks_for_the_migration(url: URL) -> None:
    engine = make_engine(url)
    with pytest.raises(ConfigError, match=r"has no tables yet: run `python -m recorder migrate`$"):
        check_tables(engine)
    upgrade(engine, LINE, ZONE, "0003")
    with pytest.raises(ConfigError, match=r"tables of another version: run `python -m recorder migrate`$"):
        check_tables(engine)
    assert "line_states" not in inspect(engine).get_table_names()
    upgrade(engine, LINE, ZONE)
    check_tables(engine)
    engine.dispose()


def test_one_program_at_a_time(mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("records.migrate._PATIENCE_S", 0)
    url = database_url(mariadb_url)
    engine = make_engine(url)
    with engine.connect() as other:
        lock = "CONCAT('boardline ', LEFT(SHA2(DATABASE(), 256), 32))"
        assert other.scalar(text(f"SELECT GET_LOCK({lock}, 0)"))
        with pytest.raises(DatabaseDown, match="another program"):
            bring_up_to_date(url, LINE, ZONE)
        other.execute(text(f"SELECT RELEASE_LOCK({lock})")).all()
    bring_up_to_date(url, LINE, ZONE)
    with engine.connect() as other:
        # The server frees it a moment after the connection is closed.
        until(lambda: bool(other.scalar(text(f"SELECT IS_FREE_LOCK({lock})"))))
    engine.dispose()


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("records.database._TIMEOUTS", {"read_timeout": 0.1})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = database_url(f"mysql://user:password@127.0.0.1:{silent.getsockname()[1]}/boardline")
        with pytest.raises(DatabaseDown):
            bring_up_to_date(url, LINE, ZONE)


def test_a_fault_of_a_migration_is_not_called_one_of_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("records.migrate.command.upgrade", lambda *_: len(None))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        bring_up_to_date(database_url(f"sqlite:///{tmp_path / 'records.db'}"), LINE, ZONE)


def test_programs_that_start_together_share_the_work(url: URL) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: bring_up_to_date(url, LINE, ZONE), range(4))) == [None] * 4


def test_sqlite_is_durable_and_shared(tmp_path: Path) -> None:
    url = URL.create("sqlite+pysqlite", database=str(tmp_path / "deep" / "er" / "records.db"))
    bring_up_to_date(url, LINE, ZONE)
    engine = make_engine(url)
    with engine.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        values = [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for pragma in pragmas]
    engine.dispose()
    assert values == ["wal", 2, 1]


def test_mariadb_compares_ids_byte_by_byte(mariadb_url: str) -> None:
    url = database_url(mariadb_url)
    bring_up_to_date(url, LINE, ZONE)
    engine = make_engine(url)
    collations = (
        "SELECT DISTINCT table_collation FROM information_schema.tables"
        " WHERE table_schema = DATABASE() AND table_name <> 'alembic_version'"
    )
    with engine.connect() as connection:
        assert connection.scalars(text(collations)).all() == ["utf8mb4_bin"]
    engine.dispose()
