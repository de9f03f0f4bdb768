"""Files that a service holds: a damaged one is set aside, one that is only out of reach is not."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pcb_bus.durable.files import open_file, transaction
from pcb_bus.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
SCHEMA = "CREATE TABLE IF NOT EXISTS boards (name TEXT NOT NULL, payload BLOB NOT NULL);"
HOLDER = """
import sys
from pathlib import Path
from pcb_bus.durable.files import open_file
held = open_file(Path(sys.argv[1]), sys.argv[2], "outbox")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with 200 boards in some hundred pages."""
    place = tmp_path / "outbox.db"
    db = opened(place)
    with transaction(db):
        db.executemany("INSERT INTO boards VALUES (?, ?)", [(f"b{number}", bytes(2000)) for number in range(200)])
    db.close()
    return place


def opened(path: Path, tell: Callable[[str], None] = pytest.fail) -> sqlite3.Connection:
    return open_file(path, SCHEMA, "actuator.outbox", tell=tell)


def boards(db: sqlite3.Connection) -> int:
    with transaction(db):
        db.execute("INSERT INTO boards VALUES ('new', x'00')")
    (count,) = db.execute("SELECT count(*) FROM boards").fetchone()
    db.close()
    return int(count) - 1


def write(path: Path, at: int, what: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(what)


def no_database(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)


def damaged_header(path: Path) -> None:
    write(path, 0, b"\xff" * 100)


def damaged_page(path: Path) -> None:
    write(path, path.stat().st_size // 8192 * 4096, b"\xa5" * 4096)


def cut_in_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def cut_in_the_middle(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 8192 * 4096])


@pytest.mark.parametrize("damage", [no_database, damaged_header, damaged_page, cut_in_the_header, cut_in_the_middle])
def test_a_damaged_file_is_kept_aside_for_a_new_one_and_told(path: Path, damage: Callable[[Path], None]) -> None:
    damage(path)
    content = path.read_bytes()
    told: list[str] = []
    assert boards(opened(path, told.append)) == 0
    (aside,) = path.parent.glob("outbox.db.damaged-*")
    assert aside.read_bytes() == content
    (text,) = told
    assert text.startswith(f"actuator.outbox: {path} is damaged (")
    assert text.endswith(f"); it is kept as {aside}, and a new one begun")
    assert boards(opened(path)) == 1


def test_by_default_a_damaged_file_is_told_in_the_log(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged_header(path)
    open_file(path, SCHEMA, "actuator.outbox").close()
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.write_bytes(b"")
    assert boards(opened(path)) == 0


@pytest.mark.parametrize("at", [0, 3000])
def test_a_damaged_journal_costs_what_was_in_it_and_no_more(path: Path, at: int) -> None:
    after_a_crash = path.with_name("crashed.db")
    db = opened(path)
    with transaction(db):
        db.execute("INSERT INTO boards VALUES ('last', x'00')")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{after_a_crash}{suffix}")
    db.close()
    write(after_a_crash.with_name("crashed.db-wal"), at, b"\xff" * 500)
    assert boards(opened(after_a_crash)) == 200


def test_the_journal_of_a_damaged_file_goes_with_it(path: Path) -> None:
    db = opened(path)
    with transaction(db):
        db.execute("INSERT INTO boards VALUES ('last', x'00')")
    journal = path.with_name("outbox.db-wal").read_bytes()
    db.close()
    path.with_name("outbox.db-wal").write_bytes(journal)
    no_database(path)
    assert boards(opened(path, lambda _: None)) == 0
    (aside,) = path.parent.glob("outbox.db.damaged-*-wal")
    assert aside.read_bytes() == journal


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        opened(path)
    return str(refused.value)


def test_a_file_that_another_process_holds_is_not_touched(path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(path), SCHEMA]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert refusal(path) == f"actuator.outbox: cannot use {path}: another process holds it"
        holder.communicate()
    assert holder.returncode == 0
    assert boards(opened(path)) == 200


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    assert refusal(tmp_path / "outbox.db").endswith(": a folder stands there, or this user may not write there")
    assert list(tmp_path.iterdir()) == [tmp_path / "outbox.db"]


@pytest.mark.parametrize("place", ["/proc/outbox.db", "/proc/boardline/outbox.db"])
def test_a_folder_that_takes_no_files_is_one_line(place: str) -> None:
    assert refusal(Path(place)).startswith(f"actuator.outbox: cannot use {place}: ")


def test_a_file_where_its_folder_should_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("no folder", encoding="utf-8")
    assert refusal(tmp_path / "var" / "outbox.db").startswith("actuator.outbox: cannot use ")


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    db = opened(path)
    with pytest.raises(sqlite3.IntegrityError), transaction(db):
        db.executemany("INSERT INTO boards VALUES (?, x'00')", [("half",), (None,)])
    assert boards(db) == 200
