"""What is kept is there after a crash, in order, within bounds, until it is named."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pcb_bus.durable.outbox import Bounds, Outbox
from pcb_bus.errors import OutboxFault

OpenOutbox = Callable[..., Outbox]
REPOSITORY = Path(__file__).parents[2]
EVERYTHING = 2**62


@pytest.fixture
def open_outbox(tmp_path: Path) -> Iterator[OpenOutbox]:
    """Opens the outbox of this test, with bounds."""

    def opened(tell: Callable[[str], None] = pytest.fail, prompt: bool = True, **bounds: int) -> Outbox:
        outbox = Outbox(tmp_path / "new" / "outbox.db", Bounds(**bounds), tell=tell, prompt=prompt)
        stack.callback(outbox.close)
        return outbox

    with ExitStack() as stack:
        yield opened


def identities(outbox: Outbox) -> list[str]:
    return [each.identity for each in outbox.waiting(0, EVERYTHING, 1_000_000)]


def test_what_waits_comes_oldest_first_in_portions(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    for name in ("c", "a", "b", "d"):
        outbox.keep(name, name.encode())
    first, second = outbox.waiting(0, outbox.newest, 2)
    assert [(each.identity, each.payload) for each in (first, second)] == [("c", b"c"), ("a", b"a")]
    assert [each.identity for each in outbox.waiting(second.place, outbox.newest, 9)] == ["b", "d"]
    assert outbox.waiting(0, 0, 9) == []


def test_what_is_named_is_gone_but_known(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    outbox.keep("a", b"1")
    outbox.keep("b", b"2")
    outbox.clear(["a", "stranger"])
    assert (identities(outbox), len(outbox)) == (["b"], 1)
    assert [outbox.knows(each) for each in ("a", "b", "stranger")] == [True, True, False]
    outbox.clear(["a", "b"])
    assert (len(outbox), outbox.fill) == (0, 0)


def test_everything_is_there_after_a_restart_and_told_from_what_is_new(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    for name in ("a", "b", "c"):
        outbox.keep(name, name.encode())
    outbox.clear(["b"])
    outbox.close()
    again = open_outbox(rows=3)
    again.keep("d", b"d")
    assert identities(again) == ["a", "c", "d"]
    assert [again.inherited(each) for each in ("a", "b", "d")] == [b"a", None, None]
    assert again.knows("b")
    assert again.fill == 1


def test_a_younger_message_never_takes_the_place_of_a_cleared_one(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    outbox.keep("a", b"")
    before = outbox.newest
    outbox.clear(["a"])
    outbox.keep("b", b"")
    assert outbox.waiting(0, before, 9) == []


@pytest.mark.parametrize("bounds", [{"rows": 2}, {"payload_bytes": 20}])
def test_a_full_outbox_keeps_what_it_has_and_says_so(open_outbox: OpenOutbox, bounds: dict[str, int]) -> None:
    outbox = open_outbox(**bounds)
    for name in ("a", "b"):
        outbox.keep(name, bytes(10))
    with pytest.raises(OutboxFault, match="the outbox is full"):
        outbox.keep("c", bytes(10))
    assert (identities(outbox), outbox.fill, outbox.fault) == (["a", "b"], 1.0, "the outbox is full")
    assert not outbox.knows("c")
    outbox.clear(["a"])
    outbox.keep("c", bytes(10))
    assert (identities(outbox), outbox.fault) == (["b", "c"], None)


def test_what_is_kept_is_not_kept_twice(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    outbox.keep("a", b"first")
    with pytest.raises(ValueError, match="kept already: a"):
        outbox.keep("a", b"second")
    assert [each.payload for each in outbox.waiting(0, EVERYTHING, 9)] == [b"first"]
    assert len(outbox) == 1


def test_the_memory_of_cleared_ids_is_bounded(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox(remembered=3)
    for number in range(6):
        outbox.keep(str(number), b"")
    outbox.clear(str(number) for number in range(5))
    assert [outbox.knows(str(number)) for number in range(6)] == [False, False, True, True, True, True]


@pytest.mark.parametrize("prompt", [True, False])
def test_what_keep_returned_from_is_there_after_kill_9_in_the_middle_of_a_write(
    tmp_path: Path, open_outbox: OpenOutbox, prompt: bool
) -> None:
    program = f"""
        import itertools
        from pathlib import Path
        from pcb_bus.durable.outbox import Outbox
        outbox = Outbox(Path({str(tmp_path / "new" / "outbox.db")!r}), prompt={prompt})
        for number in itertools.count():
            outbox.keep(str(number), bytes(2000))
            print(number, flush=True)
            if number % 7 == 6:
                outbox.clear([str(number - 3)])
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(next(writer.stdout)) for _ in range(300)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout]
    outbox = open_outbox()
    found = [int(each) for each in identities(outbox)]
    assert all(outbox.knows(str(number)) for number in told)
    assert found == sorted(found)
    # Nothing but what was cleared is missing, and nothing is half there.
    assert {number % 7 for number in set(range(len(told) - 7)) - set(found)} == {3}
    assert {len(each.payload) for each in outbox.waiting(0, EVERYTHING, 1_000_000)} == {2000}


def test_a_damaged_outbox_is_told_and_a_new_one_begun(tmp_path: Path, open_outbox: OpenOutbox) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "outbox.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    told: list[str] = []
    outbox = open_outbox(tell=told.append)
    outbox.keep("a", b"1")
    assert identities(outbox) == ["a"]
    assert [each.partition(":")[0] for each in told] == ["outbox"]


def test_an_outbox_that_hangs_can_be_left_behind(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    with outbox._lock:  # as somebody who waits for the disk
        outbox.close()


def test_a_disk_that_fails_is_told_as_such(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    outbox.keep("a", b"")
    outbox._db.execute("PRAGMA max_page_count = 1")  # SQLite then answers as on a full disk
    with pytest.raises(OutboxFault, match="disk is full"):
        outbox.keep("b", bytes(100_000))
    assert (identities(outbox), len(outbox)) == (["a"], 1)
    assert outbox.fault == "the outbox cannot be used: database or disk is full"


def test_a_commit_that_fails_leaves_the_outbox_usable(open_outbox: OpenOutbox) -> None:
    outbox = open_outbox()
    outbox.keep("a", b"first")
    outbox._db.executescript(
        """
        PRAGMA foreign_keys = ON;
        CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER only_the_commit_fails AFTER DELETE ON waiting BEGIN INSERT INTO child VALUES (1); END;
        """
    )
    with pytest.raises(OutboxFault, match="FOREIGN KEY"):
        outbox.clear(["a"])
    outbox._db.execute("DROP TRIGGER only_the_commit_fails")
    outbox.clear(["a"])
    assert identities(outbox) == []


def test_what_is_not_prompt_is_synced_later_and_its_log_stays_short(tmp_path: Path, open_outbox: OpenOutbox) -> None:
    outbox, folder = open_outbox(prompt=False), tmp_path / "new"
    for number in range(90):
        outbox.keep(str(number), bytes(250_000))
        outbox.sync()
    assert (folder / "outbox.db").stat().st_size > 16e6
    assert (folder / "outbox.db-wal").stat().st_size < 10e6
    assert outbox.fault is None


def test_a_disk_that_does_not_sync_is_told(
    tmp_path: Path, open_outbox: OpenOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("Input/output error")

    outbox = open_outbox(prompt=False)
    monkeypatch.setattr("os.fsync", fail)
    outbox.keep("a", b"")
    outbox.sync()
    assert outbox.fault == "Input/output error"
