"""A database URL that cannot work is one line that names the key, without the password, and exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url
from support.mariadb import MariaDb

from pcb_bus.errors import ConfigError
from recorder.__main__ import main
from recorder.database import bring_up_to_date, database_url, shown
from recorder.errors import DatabaseDown
from recorder.service import build
from recorder.settings import RecorderLine, RecorderSettings, SpoolSettings

WRONG = [
    "",
    "nonsense",
    "postgresql://line:secret@db/boardline",
    "mysql+mysqldb://line:secret@db/boardline",
    "mysql://line:secret@db:port/boardline",
    "mysql://line:secret@db",
    "sqlite://",
    "sqlite:///:memory:",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_url_that_is_none_names_the_key(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^recorder\.database_url: ") as failure:
        database_url(text)
    assert_presentable(failure.value)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
def test_mysql_by_any_name_uses_the_driver_that_is_there(scheme: str) -> None:
    assert database_url(f"{scheme}://line:secret@db/boardline").drivername == "mysql+pymysql"


def test_what_is_shown_has_no_secrets() -> None:
    url = database_url("mysql://line:secret@db/boardline?ssl_key_password=secret")
    assert shown(url) == "mysql+pymysql://line:***@db/boardline"


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database, but long enough that its header is read")
    for path in (tmp_path / "file" / "records.db", tmp_path / "file", tmp_path):
        with pytest.raises(ConfigError, match=r"^recorder\.database_url: "):
            bring_up_to_date(database_url(f"sqlite:///{path}"))


def test_a_database_of_a_newer_recorder(tmp_path: Path) -> None:
    url = database_url(f"sqlite:///{tmp_path / 'records.db'}")
    bring_up_to_date(url)
    newer = create_engine(url)
    with newer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    newer.dispose()
    with pytest.raises(ConfigError, match="does not fit this version"):
        bring_up_to_date(url)


def test_mariadb_that_refuses(mariadb_url: str) -> None:
    url = make_url(mariadb_url)
    for wrong in (
        url.set(password="secret"),
        url.set(username="nobody"),
        url.set(database="nowhere"),
        url.update_query_dict({"nonsense": "1"}),
    ):
        with pytest.raises(ConfigError, match=r"^recorder\.database_url: ") as failure:
            bring_up_to_date(database_url(wrong.render_as_string(hide_password=False)))
        assert_presentable(failure.value, str(url.password))


def test_a_kind_of_login_that_the_driver_does_not_know_is_named(mariadb: MariaDb, mariadb_url: str) -> None:
    mariadb.execute(
        "INSTALL SONAME 'auth_ed25519'",
        "CREATE USER 'curve'@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('secret')",
        "GRANT ALL ON *.* TO 'curve'@'127.0.0.1'",
    )
    url = make_url(mariadb_url).set(username="curve", password="secret")
    with pytest.raises(ConfigError, match=r"^recorder\.database_url: .*'pynacl' package is required") as failure:
        bring_up_to_date(database_url(url.render_as_string(hide_password=False)))
    assert_presentable(failure.value, "secret")


def test_mariadb_that_is_not_up_yet_is_waited_for(mariadb: MariaDb, mariadb_url: str, tmp_path: Path) -> None:
    mariadb.stop()
    url = database_url(mariadb_url)
    with pytest.raises(DatabaseDown):
        bring_up_to_date(url)
    spool = SpoolSettings(path=tmp_path / "spool.db")
    build(RecorderLine(recorder=RecorderSettings(database_url=mariadb_url, images=tmp_path / "images", spool=spool)))


def test_the_process_ends_with_code_2_and_one_line(tmp_path: Path) -> None:
    done = recorder(tmp_path, "--database_url", "postgresql://line:secret@db/boardline")
    assert done.returncode == 2
    assert done.stderr == (
        "python -m recorder: recorder.database_url: postgresql is not supported; use sqlite or mysql\n"
    )


def test_migrate_makes_the_tables_and_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], free_port: int
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["migrate"]) == 0
    assert (tmp_path / "var" / "recorder" / "boardline.db").exists()
    assert main(["migrate", "--database_url", f"mysql://line:secret@127.0.0.1:{free_port}/boardline"]) == 1
    assert main(["migrate", "--database_url", "nonsense"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_a_folder_of_images_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("")
    settings = RecorderSettings(database_url=f"sqlite:///{tmp_path / 'records.db'}", images=tmp_path / "images" / "x")
    with pytest.raises(ConfigError, match=r"^recorder\.images: "):
        build(RecorderLine(recorder=settings))


def recorder(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "recorder", *arguments]
    environment = {"PYTHONPATH": str(Path.cwd()), "PATH": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def assert_presentable(error: Exception, secret: str = "secret") -> None:
    line = str(error)
    assert "\n" not in line
    assert secret not in line
