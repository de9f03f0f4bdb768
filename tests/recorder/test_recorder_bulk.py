"""Many rows in one statement: what is written is what the ORM reads, and the text fits MariaDB and MySQL."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from support.boards import trigger_record, verdict_record

from recorder.bulk import insert_rows, these
from recorder.database import bring_up_to_date, database_url, make_engine
from recorder.rows import Row
from recorder.statistics import upsert_statement
from recorder.tables import BoardStatistics, Inspection, SystemLog, Trigger

SEOUL = timezone(timedelta(hours=9))


def log_row(**changes: object) -> Row:
    row = {"digest": "a", "level": "info", "source": "edge-left", "message": "", "details": {}}
    return {**row, "logged_at": datetime(2026, 11, 21, tzinfo=UTC), **changes}


def test_times_of_any_zone_are_utc_cut_to_milliseconds(engine: Engine) -> None:
    moment = datetime(2026, 11, 21, 8, 0, 0, 999_999, SEOUL)
    with engine.begin() as connection:
        insert_rows(connection, SystemLog, [log_row(logged_at=moment)])
        found = connection.scalars(select(SystemLog.logged_at)).one()
        by_time = select(SystemLog.digest).where(SystemLog.logged_at == moment)
        assert connection.scalars(by_time).one() == "a"
    assert found == datetime(2026, 11, 20, 23, 0, 0, 999_000, UTC)


@pytest.mark.parametrize("text", ["%s %% %(a)s", "quote ' \" ` \\", "? :name ;--", "탈락 📷", "line\nbreak\0"])
def test_text_comes_back_as_it_was(engine: Engine, text: str) -> None:
    with engine.begin() as connection:
        insert_rows(connection, SystemLog, [log_row(message=text, details={text: [text]})])
    with Session(engine) as session:
        log = session.scalars(select(SystemLog)).one()
        assert (log.message, log.details) == (text, {text: [text]})


def test_text_is_safe_on_a_server_to_which_a_backslash_is_nothing_special(mariadb_url: str) -> None:
    url = database_url(mariadb_url).update_query_dict({"sql_mode": "NO_BACKSLASH_ESCAPES"})
    bring_up_to_date(url)
    engine = make_engine(url)
    text = "\\' \\"
    try:
        with engine.begin() as connection:
            insert_rows(connection, SystemLog, [log_row(message=text)])
            by_text = select(SystemLog.message).where(SystemLog.message.in_(these([text, "other"])))
            assert connection.scalars(by_text).all() == [text]
    finally:
        engine.dispose()


@pytest.mark.parametrize("text", ["%s %% %(a)s", "' \\ \\' \\\\", "? :name", "탈락 📷"])
def test_text_is_found_among_others(engine: Engine, text: str) -> None:
    with engine.begin() as connection:
        insert_rows(connection, SystemLog, [log_row(message=text)])
        by_text = select(SystemLog.message).where(SystemLog.message.in_(these(["other", text])))
        assert connection.scalars(by_text).all() == [text]


def test_rows_of_many_megabytes_are_several_statements(engine: Engine) -> None:
    sizes = []
    event.listen(engine, "before_cursor_execute", lambda *given: sizes.append(len(given[2].encode())))
    rows = [log_row(digest=str(number), message="탈" * 100_000) for number in range(10)]
    with engine.begin() as connection:
        insert_rows(connection, SystemLog, rows)
        assert connection.scalar(select(func.count()).select_from(SystemLog)) == 10
    assert max(sizes) < 2**20


def test_of_the_same_key_the_one_that_is_there_stands(engine: Engine) -> None:
    with engine.begin() as connection:
        insert_rows(connection, SystemLog, [log_row(message="1")], keep_present=True)
        insert_rows(connection, SystemLog, [log_row(message="2"), log_row(digest="b", message="3")], keep_present=True)
        assert set(connection.scalars(select(SystemLog.message))) == {"1", "3"}


def test_a_key_that_is_taken_is_an_error_unless_told_otherwise(engine: Engine) -> None:
    with engine.begin() as connection, pytest.raises(IntegrityError):
        insert_rows(connection, Inspection, [verdict_record(1).row, verdict_record(1).row])


def test_no_rows_are_no_statement(engine: Engine) -> None:
    with engine.begin() as connection:
        insert_rows(connection, Trigger, [])
        insert_rows(connection, Trigger, [trigger_record(1).row])
        assert connection.scalars(select(Trigger.open)).all() == [True]


@pytest.mark.parametrize(("is_mysql_8", "new"), [(True, "new.boards"), (False, "VALUES(boards)")])
def test_the_upsert_is_written_as_the_server_wants_it(is_mysql_8: bool, new: str) -> None:
    dialect = mysql.dialect()
    dialect._requires_alias_for_on_duplicate_key = is_mysql_8  # which it learns of a server when it connects
    text = str(upsert_statement("mysql", BoardStatistics).compile(dialect=dialect))
    assert f"boards = (board_statistics.boards + {new})" in text
