"""A database's password stands in a file or in the environment, and may be changed while everything runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError
from support.mariadb import MariaDb

from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import redact
from recorder.settings import RecorderLine, RecorderSettings
from records.database import database_url, make_engine, meaning, read_password, reason, shown
from records.migrate import bring_up_to_date

ZONE = ZoneInfo("UTC")
FIRST, SECOND = "열려라 참깨/@:1", "second'; -- \\ %41"


@pytest.fixture
def url(mariadb: MariaDb) -> str:
    """A database, for a login whose password is FIRST; the URL has none."""
    url = make_url(mariadb.fresh_database())
    mariadb.execute(f"CREATE OR REPLACE USER 'rotated'@'127.0.0.1' IDENTIFIED BY {quoted(FIRST)}")
    mariadb.execute(f"GRANT ALL ON {url.database}.* TO 'rotated'@'127.0.0.1'")
    return f"mysql://rotated@127.0.0.1:{url.port}/{url.database}"


def quoted(password: str) -> str:
    escaped = password.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def works(engine: Engine) -> bool:
    """On a connection of its own."""
    engine.dispose()
    with engine.connect() as connection:
        return connection.scalar(text("SELECT 1")) == 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "비밀" / "password"
    path.parent.mkdir()
    path.write_text(f"{FIRST}\n", encoding="utf-8")
    return path


@pytest.fixture
def engine(url: str, file: Path) -> Iterator[Engine]:
    engine = make_engine(database_url(url, password_file=file))
    yield engine
    engine.dispose()


def test_a_password_is_read_anew_for_each_connection(engine: Engine, file: Path, mariadb: MariaDb) -> None:
    assert works(engine)
    mariadb.execute(f"ALTER USER 'rotated'@'127.0.0.1' IDENTIFIED BY {quoted(SECOND)}")
    with pytest.raises(OperationalError) as refused:
        works(engine)
    assert meaning(refused.value) == "passing"
    file.write_bytes(b"\xef\xbb\xbf" + SECOND.encode() + b"\r\n")  # as an editor of Windows saves it
    assert works(engine)


def test_a_file_that_is_away_for_a_while_is_a_database_that_is(engine: Engine, file: Path) -> None:
    file.rename(file.with_name("old"))
    with pytest.raises(OperationalError) as refused:
        works(engine)
    assert meaning(refused.value) == "passing"
    assert reason(refused.value).startswith(f"recorder.database_password_file: cannot read {file}: No such file")
    file.with_name("old").rename(file)
    assert works(engine)


def test_a_password_of_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCB_RECORDER__DATABASE_URL", url)
    monkeypatch.setenv("PCB_RECORDER__DATABASE_PASSWORD", FIRST)
    chosen = RecorderLine().recorder
    engine = make_engine(chosen.url)
    assert works(engine)
    engine.dispose()
    assert FIRST not in f"{chosen!r} {chosen.url!r} {shown(chosen.url)} {engine!r}"


def test_a_password_in_the_url_may_be_of_any_script(url: str) -> None:
    engine = make_engine(make_url(url).set(drivername="mysql+pymysql", password=FIRST))
    assert works(engine)
    engine.dispose()


def test_the_recorder_starts_with_a_file_and_migrates(url: str, file: Path) -> None:
    settings = RecorderSettings(database_url=url, database_password_file=file)
    bring_up_to_date(settings.url, "pcb", ZONE)
    assert str(file) not in shown(settings.url)


def test_a_wrong_password_in_the_file_is_a_wrong_configuration(url: str, file: Path) -> None:
    file.write_text("wrong-one")
    with pytest.raises(ConfigError, match=r"^recorder\.database_url: mysql.*Access denied") as caught:
        bring_up_to_date(database_url(url, password_file=file), "pcb", ZONE)
    assert "wrong-one" not in str(caught.value)
    assert redact("it says wrong-one") == "it says ***"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "must hold the password alone, on one line"),
        (b"\n", "must hold the password alone"),
        (b"password: geheim\nuser: x\n", "must hold the password alone"),
        ("geheim비".encode("euc-kr"), "is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_a_file_without_a_password_is_one_line(content: bytes | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^recorder\.database_password_file: .*{words}") as caught:
        database_url("mysql://line@db/boardline", password_file=file)
    assert "geheim" not in str(caught.value)


def test_two_passwords_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^recorder\.database_url: has a password, and so has .*password_file: leave"
    ):
        database_url("mysql://line:geheim@db/boardline", password_file=tmp_path / "password")
    with pytest.raises(ConfigError, match=r"^recorder\.database_password: has a password, and so has"):
        database_url("mysql://line@db/boardline", "geheim", tmp_path / "password")


def test_a_password_keeps_its_blanks(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("  two words \n")
    assert read_password(tmp_path / "password") == "  two words "


def test_a_file_of_sqlite_is_private_with_its_log(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        url = database_url(f"sqlite:///{tmp_path / 'new' / 'records.db'}")
        bring_up_to_date(url, "pcb", ZONE)
        engine = make_engine(url)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.rglob("*")}
        engine.dispose()
    finally:
        os.umask(before)
    assert modes == {"new": 0o700, "records.db": 0o600, "records.db-wal": 0o600, "records.db-shm": 0o600}
