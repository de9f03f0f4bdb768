"""docs/database.md names every table and column, and its queries run as they stand there, by a plain client."""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import URL, Engine, func, insert, select, update
from support.filled_tables import BEGIN, LINE, fill
from support.mariadb import MariaDb
from support.mysql import connect_plainly

from pcb_bus.errors import ConfigError
from records.database import database_url, is_sqlite
from records.migrate import bring_up_to_date
from records.reviewing import Decision, Sampling, decide, queue
from records.tables import OWNERS, Actuation, Base, Defect, User

PAGE = (Path(__file__).parents[2] / "docs" / "database.md").read_text(encoding="utf-8")
ZONE = ZoneInfo("UTC")
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


def test_the_statements_that_make_a_database_and_its_login_are_enough(mariadb: MariaDb) -> None:
    statements = PAGE.partition("```\n")[2].partition("```")[0].replace("boardline", "made_as_said")
    address = f"mysql://made_as_said:a password of its own@127.0.0.1:{mariadb.port}/made_as_said"
    with pytest.raises(ConfigError, match=r"Access denied.*; docs/database\.md says how to make database and login$"):
        bring_up_to_date(database_url(address), "pcb", ZONE)
    mariadb.execute(*filter(str.strip, statements.split(";")))
    with closing(connect_plainly(database_url(address))) as connection, connection.cursor() as cursor:
        for statement in ("CREATE TABLE a (b INT)", "CREATE INDEX c ON a (b)", "ALTER TABLE a ADD d INT"):
            cursor.execute(statement)
    mariadb.execute("DROP DATABASE made_as_said")
    with pytest.raises(ConfigError, match=r"Unknown database.*; docs/database\.md says how"):
        bring_up_to_date(database_url(address), "pcb", ZONE)
    mariadb.execute("DROP USER 'made_as_said'@'%'")


PERSON = {"id": 1, "username": "kim", "password_hash": "", "role": "operator", "active": True}
CALL = select(Defect.id).where(Defect.inspection_id == 9).limit(1)


def ask(url: URL, query: str) -> list[Any]:
    if is_sqlite(url):
        with closing(sqlite3.connect(str(url.database))) as file:
            return file.execute(query).fetchall()
    with closing(connect_plainly(url)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def test_every_query_finds_something(url: URL, engine: Engine) -> None:
    fill(engine, 103, timedelta(minutes=1))
    with engine.begin() as connection:
        queue(connection, LINE, Sampling(), 0, BEGIN)
        connection.execute(insert(User).values({**PERSON, "created_at": BEGIN}))
        decide(connection, LINE, Decision("verdict-8", "false_call", connection.scalar(CALL)), 1, BEGIN)
    assert len(QUERIES) > 15
    for query in QUERIES:
        assert ask(url, query), query


def test_gates_that_did_nothing_are_found(url: URL, engine: Engine) -> None:
    query = PAGE.partition("### Which gates fired late, or not at all?")[2].partition("```sql\n")[2].partition("```")[0]
    fill(engine, 103, timedelta(minutes=1))
    before = len(ask(url, query))
    for outcome in ("disarmed", "retained", "duplicate"):
        with engine.begin() as connection:
            board = connection.scalar(select(func.min(Actuation.board_id)).where(Actuation.outcome == "fired"))
            connection.execute(update(Actuation).where(Actuation.board_id == board).values(outcome=outcome))
    found = [row[3] for row in ask(url, query)]
    assert len(found) == before + 3
    assert {"disarmed", "retained", None} <= set(found)


def test_the_ways_to_name_a_day_say_the_same(url: URL, engine: Engine) -> None:
    fill(engine, 103, timedelta(minutes=1))
    counts = [sorted(ask(url, query)) for query in QUERIES[-3:]]
    assert "DATE(inspection_time) BETWEEN" in QUERIES[-3]
    assert counts == [counts[0]] * 3
    assert sum(boards for _, boards in counts[0]) == 100


@pytest.mark.parametrize("table", Base.metadata.sorted_tables, ids=lambda table: table.name)
def test_the_page_says_what_each_column_is_and_who_writes_it(table: Any) -> None:
    section = PAGE.partition(f"\n### `{table.name}`\n")[2].partition("\n### ")[0]
    assert re.findall(r"^\| `(\w+)` \| \S", section, re.MULTILINE) == [column.name for column in table.columns]
    assert f"Written by: {OWNERS[table.name]}." in section


def test_the_page_names_no_other_table() -> None:
    assert set(re.findall(r"^### `(\w+)`$", PAGE, re.MULTILINE)) == set(Base.metadata.tables)
