"""A database URL that cannot work is one line that names the key, without the password, and says the way out."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, make_url
from support.mariadb import MariaDb

from pcb_bus.errors import ConfigError
from records.database import database_url, shown
from records.errors import DatabaseDown
from records.migrate import bring_up_to_date

LINE, ZONE = "pcb", ZoneInfo("UTC")
WRONG = [
    "",
    "nonsense",
    "postgresql://line:secret@db/boardline",
    "mysql+mysqldb://line:secret@db/boardline",
    "mysql://line:secret@db:port/boardline",
    "mysql://line:secret@db",
    "mysql://line:secret@db/boardline?charset=latin1",
    "sqlite://",
    "sqlite:///:memory:",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_url_that_is_none_names_the_key(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^recorder\.database_url: ") as failure:
        database_url(text)
    assert_presentable(failure.value)


def test_an_at_sign_in_a_password_is_to_be_encoded() -> None:
    with pytest.raises(ConfigError, match="two @ in it; in a user or password, write %40 for @") as failure:
        database_url("mysql://line:sec@ret@db/boardline")
    assert_presentable(failure.value, "ret")


@pytest.mark.parametrize("text", ["sec%40r%2Fet", "sec%40r/et"])
def test_an_encoded_password_is_meant(text: str) -> None:
    url = database_url(f"mysql://line:{text}@db/boardline")
    assert (url.password, url.host, url.database) == ("sec@r/et", "db", "boardline")


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
def test_mysql_by_any_name_uses_the_driver_and_the_characters_that_are_needed(scheme: str) -> None:
    url = database_url(f"{scheme}://line:secret@db/boardline")
    assert (url.drivername, url.query["charset"]) == ("mysql+pymysql", "utf8mb4")


def test_what_is_shown_has_no_secrets() -> None:
    url = database_url("mysql://line:secret@db/boardline?ssl_key_password=secret")
    assert shown(url) == "mysql+pymysql://line:***@db/boardline"


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database, but long enough that its header is read")
    for path in (tmp_path / "file" / "records.db", tmp_path / "file", tmp_path):
        with pytest.raises(ConfigError, match=r"^recorder\.database_url: "):
            bring_up_to_date(database_url(f"sqlite:///{path}"), LINE, ZONE)


def test_a_database_of_a_newer_version(tmp_path: Path) -> None:
    url = database_url(f"sqlite:///{tmp_path / 'records.db'}")
    bring_up_to_date(url, LINE, ZONE)
    newer = create_engine(url)
    with newer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    newer.dispose()
    with pytest.raises(ConfigError, match="does not fit this version"):
        bring_up_to_date(url, LINE, ZONE)


def test_mariadb_that_refuses(mariadb_url: str) -> None:
    url = make_url(mariadb_url)
    for wrong in (
        url.set(password="secret"),
        url.set(username="nobody"),
        url.set(database="nowhere"),
        url.update_query_dict({"nonsense": "1"}),
    ):
        with pytest.raises(ConfigError, match=r"^recorder\.database_url: ") as failure:
            bring_up_to_date(database_url(wrong.render_as_string(hide_password=False)), LINE, ZONE)
        assert_presentable(failure.value, str(url.password))


def test_a_kind_of_login_that_the_driver_does_not_know_is_named(mariadb: MariaDb, mariadb_url: str) -> None:
    mariadb.execute(
        "INSTALL SONAME 'auth_ed25519'",
        "CREATE USER 'curve'@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('secret')",
        "GRANT ALL ON *.* TO 'curve'@'127.0.0.1'",
    )
    url = make_url(mariadb_url).set(username="curve", password="secret")
    with pytest.raises(ConfigError, match=r"^recorder\.database_url: .*'pynacl' package is required") as failure:
        bring_up_to_date(database_url(url.render_as_string(hide_password=False)), LINE, ZONE)
    assert_presentable(failure.value, "secret")


def test_mariadb_that_is_not_up_yet_is_waited_for(mariadb: MariaDb, mariadb_url: str) -> None:
    mariadb.stop()
    with pytest.raises(DatabaseDown):
        bring_up_to_date(database_url(mariadb_url), LINE, ZONE)


def assert_presentable(error: Exception, secret: str = "secret") -> None:
    line = str(error)
    assert "\n" not in line
    assert secret not in line
