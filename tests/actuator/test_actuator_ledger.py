import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from actuator.ledger import Ledger
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import ConfigError, OutboxFault

REPOSITORY = Path(__file__).parents[2]
MINUTE = 60 * NS_PER_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path, durable=False)
    yield opened
    opened.close()


def test_a_verdict_is_known_from_before_it_fires(ledger: Ledger) -> None:
    assert ledger.report_of("a") is None
    ledger.begin("a", b"crashed", now=1)
    assert (ledger.report_of("a"), ledger.firing()) == (b"crashed", {"a": b"crashed"})
    ledger.finish("a", b"fired")
    assert (ledger.report_of("a"), ledger.firing()) == (b"fired", {})


def test_the_first_outcome_stands(ledger: Ledger) -> None:
    ledger.begin("a", b"crashed", now=1)
    ledger.finish("a", b"fired")
    ledger.finish("a", b"rejected")
    assert ledger.report_of("a") == b"fired"


def test_a_verdict_that_never_began_leaves_nothing(ledger: Ledger) -> None:
    ledger.finish("a", b"late")
    assert ledger.report_of("a") is None


def test_an_outcome_that_is_not_kept_is_what_a_crash_reports(path: Path) -> None:
    ledger = Ledger(path)
    ledger.begin("a", b"crashed", now=1)
    ledger.finish("a", b"fired", kept=False)
    ledger.close()
    ledger = Ledger(path)
    assert ledger.firing() == {"a": b"fired"}
    ledger.close()


def test_what_is_done_is_forgotten_once_it_cannot_be_fresh_and_what_is_not_stays(ledger: Ledger) -> None:
    for name, minute in (("old", 1), ("unknown", 1), ("young", 2)):
        ledger.begin(name, b"crashed", now=minute * MINUTE)
    ledger.finish("old", b"fired")
    ledger.finish("young", b"fired")
    ledger.forget_old(31 * MINUTE + 1)
    found = {name: ledger.report_of(name) for name in ("old", "unknown", "young")}
    assert found == {"old": None, "unknown": b"crashed", "young": b"fired"}


def test_arming_outlives_a_restart_and_a_new_station_is_armed(path: Path) -> None:
    for expected, armed in ((True, False), (False, True), (True, True)):
        ledger = Ledger(path)
        assert ledger.armed() is expected
        ledger.remember_armed(armed)
        ledger.close()


@pytest.mark.parametrize("damage", ["no database", "a torn page"])
def test_a_damaged_file_is_set_aside_and_nobody_is_armed_by_that(
    damage: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(path)
    ledger.remember_armed(False)
    ledger.close()
    content = path.read_bytes()
    path.write_bytes(b"not a database" * 500 if damage == "no database" else content[:4096] + b"\xff" * 4096)
    with caplog.at_level(logging.CRITICAL):
        ledger = Ledger(path)
    ledger.begin("a", b"crashed", now=1)
    assert (ledger.report_of("a"), ledger.armed()) == (b"crashed", False)
    ledger.close()
    assert "actuator.ledger: " in caplog.text
    assert [each.name.startswith("ledger.db.damaged-") for each in path.parent.iterdir()].count(True) == 1


def test_a_second_actuator_on_the_same_ledger_is_refused(ledger: Ledger, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"actuator\.ledger: cannot use .*another process holds it"):
        Ledger(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"actuator\.ledger: cannot use"):
        Ledger(tmp_path / "file" / "ledger.db")


def begin_many(ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.begin(f"filler {number}", bytes(100), now=1)


def test_a_full_disk_leaves_the_file_as_it_was(ledger: Ledger) -> None:
    ledger.begin("a", b"crashed", now=1)
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxFault, match="full"):
        begin_many(ledger, 10_000)
    assert not ledger._db.in_transaction
    assert ledger.report_of("a") == b"crashed"
    ledger._db.execute("PRAGMA max_page_count = 1000000")
    ledger.begin("b", b"crashed", now=2)
    assert ledger.report_of("b") == b"crashed"


def test_a_file_that_cannot_be_used_any_more_is_one_kind_of_fault(path: Path) -> None:
    ledger = Ledger(path)
    ledger.close()
    for use in (
        lambda: ledger.begin("a", b"", 1),
        lambda: ledger.finish("a", b""),
        lambda: ledger.report_of("a"),
        ledger.firing,
        lambda: ledger.forget_old(1),
        ledger.armed,
        lambda: ledger.remember_armed(True),
    ):
        with pytest.raises(OutboxFault):
            use()


BEGIN_FOR_EVER = """
import sys
from itertools import count
from pathlib import Path
from actuator.ledger import Ledger

ledger = Ledger(Path(sys.argv[1]))
for number in count():
    ledger.begin(f"v{number}", b"crashed", now=number)
    print(number, flush=True)  # from here on its pin would be high
    if number % 3:
        ledger.finish(f"v{number}", b"fired")
"""


def test_kill_9_at_any_moment_forgets_no_verdict_whose_pin_went_high(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    command = [sys.executable, "-c", BEGIN_FOR_EVER, str(path)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        begun = [int(child.stdout.readline()) for _ in range(100)]
        child.kill()
        begun += [int(line) for line in child.stdout if line.endswith(b"\n")]
    ledger = Ledger(path)
    assert [number for number in begun if ledger.report_of(f"v{number}") is None] == []
    assert {f"v{number}" for number in begun[:-1] if number % 3 == 0} <= ledger.firing().keys()
    ledger.close()


def test_a_ledger_of_before_the_outbox_keeps_its_reports_and_stays_armed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE decided (place INTEGER PRIMARY KEY, verdict_id TEXT UNIQUE, seen_at INTEGER, report BLOB);"
            "CREATE TABLE arming (one INTEGER PRIMARY KEY CHECK (one = 1), armed INTEGER NOT NULL);"
            "INSERT INTO decided VALUES (1, 'waits', 1, CAST('its report' AS BLOB)), (2, 'recorded', 2, NULL);"
        )
    for _ in range(2):
        with closing(Ledger(path)) as ledger:
            assert ledger.firing() == {"waits": b"its report"}
            assert ledger.armed()
