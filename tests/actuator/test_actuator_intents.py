"""The file of intents: what a crash, a torn write or a full disk leaves of it."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actuator.intents import Intent, Intents
from actuator.ledger import Ledger

SLOT = 4096
PREPARED = 64
REPOSITORY = Path(__file__).parents[2]
Open = Callable[[], Intents]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db.intents"


@pytest.fixture
def open_intents(path: Path) -> Iterator[Open]:
    """Opens the file again, as the next process would."""
    opened: list[Intents] = []

    def reopen() -> Intents:
        while opened:
            opened.pop().close()
        opened.append(Intents(path))
        return opened[0]

    yield reopen
    for intents in opened:
        intents.close()


def intent(verdict_id: str, report: bytes = b"{}") -> Intent:
    return Intent(verdict_id, 7, report)


def ids(intents: Intents) -> list[str]:
    return [each.verdict_id for each in intents.found]


def damage(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def test_what_was_written_is_found_by_the_next_process(open_intents: Open) -> None:
    written = [intent("a", b'{"v": 1}'), intent("보드", bytes(3500)), intent("b" * 128, b"")]
    first = open_intents()
    for each in written:
        first.write(each)
    assert list(open_intents().found) == written


@pytest.mark.parametrize("at", [0, 7, 8, 12, 20, 22, 30, 60])
def test_a_torn_slot_is_ignored_with_a_line_in_the_log(
    at: int, path: Path, open_intents: Open, caplog: pytest.LogCaptureFixture
) -> None:
    intents = open_intents()
    intents.write(intent("torn", b"x" * 100))
    intents.write(intent("whole"))
    damage(path, at, b"\xff\xff")
    with caplog.at_level(logging.WARNING):
        assert ids(open_intents()) == ["whole"]
    assert "1 intents" in caplog.text


@pytest.mark.parametrize("content", [b"", b"short", b"intents0" * 512 * 3, os.urandom(SLOT * PREPARED + 100)])
def test_a_file_that_holds_something_else_is_taken_over(content: bytes, path: Path, open_intents: Open) -> None:
    path.write_bytes(content)
    intents = open_intents()
    assert intents.found == ()
    intents.write(intent("a"))
    assert ids(open_intents()) == ["a"]


def test_a_slot_is_used_again_once_forgotten_the_one_unused_for_longest_first(path: Path, open_intents: Open) -> None:
    intents = open_intents()
    for number in range(3 * PREPARED):
        intents.write(intent(f"v{number}"))
        intents.forget(f"v{number}")
    assert path.stat().st_size == SLOT * PREPARED
    assert set(ids(open_intents())) == {f"v{number}" for number in range(2 * PREPARED, 3 * PREPARED)}


def test_an_intent_in_use_is_never_overwritten(open_intents: Open) -> None:
    intents = open_intents()
    intents.write(intent("lasting"))
    for _ in range(2):
        for number in range(2 * PREPARED):
            intents.write(intent(f"v{number}"))
            intents.forget(f"v{number}")
        intents = open_intents()
        assert "lasting" in ids(intents)


def test_more_under_way_than_was_prepared_makes_the_file_longer(path: Path, open_intents: Open) -> None:
    intents = open_intents()
    for number in range(PREPARED + 3):
        intents.write(intent(f"v{number}"))
    assert path.stat().st_size == SLOT * (PREPARED + 3)
    assert len(open_intents().found) == PREPARED + 3


def test_what_is_erased_does_not_come_back_and_the_rest_stays(open_intents: Open) -> None:
    intents = open_intents()
    for name in ("done", "under way"):
        intents.write(intent(name))
    intents.forget("done")
    intents.erase()
    assert ids(open_intents()) == ["under way"]


def test_what_an_earlier_process_left_is_erased_too(open_intents: Open) -> None:
    open_intents().write(intent("old"))
    intents = open_intents()
    intents.forget("old")
    intents.erase()
    assert open_intents().found == ()


def test_a_write_that_fails_leaves_its_slot_free(path: Path, open_intents: Open) -> None:
    intents = open_intents()
    full = os.open("/dev/full", os.O_WRONLY)
    kept = os.dup(intents._file)
    os.dup2(full, intents._file)
    with pytest.raises(OSError, match="No space left"):
        intents.write(intent("a"))
    os.dup2(kept, intents._file)
    for file in (full, kept):
        os.close(file)
    for number in range(PREPARED):
        intents.write(intent(f"v{number}"))
    assert path.stat().st_size == SLOT * PREPARED
    assert "a" not in ids(open_intents())


def test_an_intent_that_fits_no_slot_is_refused(open_intents: Open) -> None:
    intents = open_intents()
    with pytest.raises(OSError, match="fits no slot"):
        intents.write(intent("a", bytes(SLOT)))
    assert open_intents().found == ()


BEGIN_FOR_EVER = """
import sys
from itertools import count
from pathlib import Path
from actuator.ledger import Ledger
from actuator.reading import Subject
from actuator.reporter import not_fired

ledger = Ledger(Path(sys.argv[1]))
for number in count():
    report = not_fired(Subject(f"v{number}", "board", "scrap"), "late")
    ledger.begin(report, now=number)
    print(number, flush=True)  # from here on its pin would be high
    if number % 3:
        ledger.settle([report], now=number)
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
    assert [number for number in begun if not ledger.knows(f"v{number}")] == []
    silent = {each.verdict_id for each in ledger.recover()}
    assert {f"v{number}" for number in begun[:-1] if number % 3 == 0} <= silent
    assert len(ledger.waiting(0, ledger.newest(), 10_000)) == len(ledger) >= len(begun)
    ledger.close()


def test_of_two_reports_of_one_verdict_the_later_holds_and_the_earlier_if_that_was_torn(
    path: Path, open_intents: Open
) -> None:
    intents = open_intents()
    intents.write(intent("a", b"first"))
    for report in (b"second", b"third"):
        intents.amend(intent("a", report))
    assert [each.report for each in open_intents().found] == [b"third"]
    damage(path, 2 * SLOT + 30, b"\xff\xff")
    assert [each.report for each in open_intents().found] == [b"second"]


def test_an_amended_intent_takes_one_slot(open_intents: Open) -> None:
    intents = open_intents()
    intents.write(intent("a"))
    for _ in range(3 * PREPARED):
        intents.amend(intent("a"))
    intents.forget("a")
    assert len(intents._free) == PREPARED
