"""What a line writes is for its own user alone, whatever the umask and whoever came first."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pcb_bus.durable import files
from pcb_bus.durable.files import make_folder, make_private, open_file
from pcb_bus.durable.outbox import Outbox
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.logs import set_up_logging

ROOT = Path(__file__).parents[2]
NOBODY = 65534
TABLE = "CREATE TABLE IF NOT EXISTS t (x INTEGER)"


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> set[int]:
    return {mode(each) for each in folder.rglob("*")}


def test_a_new_file_of_sqlite_is_private_with_its_log_and_its_folders(tmp_path: Path) -> None:
    with closing(open_file(tmp_path / "한국" / "more" / "x.db", TABLE, "key")) as db:
        db.execute("INSERT INTO t VALUES (1)")
        assert (tmp_path / "한국" / "more" / "x.db-wal").exists()
        assert modes(tmp_path) == {0o600, 0o700}


def test_an_outbox_is_private(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "new" / "outbox.db")) as outbox:
        outbox.keep("a", b"b")
        assert modes(tmp_path) == {0o600, 0o700}


def test_what_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"PRAGMA journal_mode = WAL; {TABLE}; INSERT INTO t VALUES (1)")
        os.link(path.with_name("x.db-wal"), tmp_path / "kept")
    path.with_name("x.db-wal").touch()
    assert mode(path) & 0o077
    with closing(open_file(path, TABLE, "key")) as again:
        assert again.execute("SELECT x FROM t").fetchone() == (1,)
        assert {mode(each) for each in tmp_path.glob("x.db*")} == {0o600}


def test_a_damaged_file_and_its_successor_are_private(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"junk" * 1000)
    open_file(tmp_path / "x.db", TABLE, "key", tell=lambda _: None).close()
    assert len(list(tmp_path.glob("x.db*"))) == 2
    assert modes(tmp_path) == {0o600}


def test_a_file_that_is_in_use_keeps_its_locks(tmp_path: Path) -> None:
    """Closing any descriptor of a file would take the locks of this whole process from it."""
    path = tmp_path / "x.db"
    with closing(open_file(path, TABLE, "key")):
        make_private(path)
        code = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert "database is locked" in done.stderr


def test_a_folder_of_others_stays_as_it_is_unless_it_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "OURS", tmp_path / "var")
    for folder in (tmp_path / "shared", tmp_path / "var" / "log"):
        folder.mkdir(parents=True)
        make_folder(folder)
    assert mode(tmp_path / "shared") == 0o777
    assert mode(tmp_path / "var") == mode(tmp_path / "var" / "log") == 0o700


def test_a_log_is_private_with_all_its_rotations(tmp_path: Path) -> None:
    for name in ("edge-left.log", "edge-left.log.1", "edge-left.log.2", "other.log"):
        (tmp_path / name).write_text("older\n")
    code = (
        "import logging, os, pathlib; from pcb_bus.runtime.logs import set_up_logging; os.umask(0)\n"
        f"set_up_logging('info', pathlib.Path({str(tmp_path)!r}), 'edge-left', max_bytes=10_000, backups=3)\n"
        "for number in range(120): logging.info('%s', 'x' * 100)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=50, check=True)
    found = {path.name: mode(path) for path in tmp_path.iterdir()}
    assert found.pop("other.log") == 0o666
    assert set(found) == {"edge-left.log", *(f"edge-left.log.{number}" for number in (1, 2, 3))}
    assert set(found.values()) == {0o600}


AS_ANOTHER = """
import os, sys
from pathlib import Path
from zoneinfo import ZoneInfo
from actuator.ledger import Ledger
from pcb_bus.durable.outbox import Outbox
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.logs import set_up_logging
from recorder.commands import _existing_database
from recorder.settings import RecorderLine, RecorderSettings
from recorder.spool import Spool
from records.database import database_url
from records.migrate import bring_up_to_date

def url(path):
    return f"sqlite:///{path}/records.db"

def read(path):
    with _existing_database(RecorderLine(recorder=RecorderSettings(database_url=url(path)))):
        pass

ways = [
    lambda path: Ledger(path / "ledger.db"),
    lambda path: Outbox(path / "outbox.db"),
    lambda path: Spool(path / "spool.db", 10, 16),
    lambda path: set_up_logging("error", path, "edge-left", max_bytes=10_000, backups=1),
    lambda path: bring_up_to_date(database_url(url(path)), "pcb", ZoneInfo("UTC")),
    read,
]
folders = [Path(sys.argv[1]) / "new", Path(sys.argv[1])]
for folder in folders:
    for way in ways:
        way(folder)
os.setuid(int(sys.argv[2]))
for folder in folders:
    for way in ways:
        try:
            way(folder)
        except ConfigError as error:
            print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start something as another user")
@pytest.mark.timeout(150)
def test_what_root_made_first_is_one_clear_line_for_another_user(tmp_path: Path) -> None:
    for each in (tmp_path, *tmp_path.parents[: len(tmp_path.parts) - 2]):
        each.chmod(0o755)
    command = [sys.executable, "-c", AS_ANOTHER, tmp_path, str(NOBODY)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=140, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 12
    assert all(f"{tmp_path / 'new'} belongs to the user root: " in line for line in lines[:6])
    assert all("run as root, or have it given to this user: sudo chown -R nobody " in line for line in lines)


def test_a_log_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"^log\.directory: cannot write .*Not a directory"):
        set_up_logging("info", tmp_path / "file" / "log", "x", max_bytes=10_000, backups=1)
    assert logging.getLogger().handlers is not None
