"""The spool: on disk when it says so, in order, bounded, and whole after a crash."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pcb_bus.errors import ConfigError
from recorder.spool import Arrival, Spool, SpoolFault

OpenSpool = Callable[..., Spool]
HALF = 2**19


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorder" / "spool.db"


@pytest.fixture
def open_spool(path: Path) -> Iterator[OpenSpool]:
    with ExitStack() as opened:

        def open_one(rows: int = 100, megabytes: int = 1) -> Spool:
            spool = Spool(path, rows, megabytes)
            opened.callback(spool.close)
            return spool

        yield open_one


def arrivals(*numbers: int, size: int = 10) -> list[Arrival]:
    return [Arrival("verdict", "pcb/verdict", b"%d" % number * size, number) for number in numbers]


def picture(number: int, size: int = 10) -> Arrival:
    return Arrival("evidence", "pcb/evidence/left", b"\xff" * size, number)


def content(spool: Spool) -> list[int]:
    return [each.arrival.received_at for each in spool.oldest(1000)]


def waiting_pictures(spool: Spool) -> list[int]:
    return [each.arrival.received_at for each in spool.pictures(1000)]


def test_what_was_taken_comes_back_as_it_was_in_the_order_of_arrival(open_spool: OpenSpool) -> None:
    spool = open_spool()
    taken = [Arrival("evidence", "pcb/evidence/left", b"\x00\xff", 7), *arrivals(1, 2, 3)]
    spool.append(taken[:2])
    spool.append(taken[2:])
    assert [each.arrival for each in spool.oldest(1000)] == taken
    assert [each.arrival for each in spool.oldest(2)] == taken[:2]


def test_a_picture_whose_row_is_written_waits_for_its_store(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append([*arrivals(1), picture(2), *arrivals(3), picture(4), *arrivals(5)])
    batch = spool.oldest(4)
    spool.done(batch, pictures={batch[1].place: "1/left", batch[3].place: "2/left"})
    assert (len(spool), content(spool), waiting_pictures(spool)) == (1, [5], [2, 4])
    assert spool.pictures_waiting == 2
    spool.close()
    again = open_spool()
    assert (len(again), content(again), waiting_pictures(again)) == (1, [5], [2, 4])
    again.remove(again.pictures(1))
    again.done(again.oldest(10))
    assert (len(again), content(again), waiting_pictures(again)) == (0, [], [4])


def test_a_copy_of_a_picture_that_waits_takes_no_room(open_spool: OpenSpool) -> None:
    spool = open_spool()
    for numbers in ((1, 2), (3,)):
        spool.append([picture(number) for number in numbers])
        spool.done((batch := spool.oldest(9)), {each.place: "1/left" for each in batch})
        assert waiting_pictures(spool) == [1]
    spool.remove(spool.pictures(9))
    spool.append([picture(4)])
    spool.done((batch := spool.oldest(9)), {each.place: "1/left" for each in batch})
    assert waiting_pictures(spool) == [4]


def test_pictures_leave_half_of_the_room_to_the_rest(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append([picture(1, HALF - 1)])
    assert spool.picture_room
    spool.append([picture(2)])
    assert not spool.picture_room
    batch = spool.oldest(10)
    spool.done(batch, {each.place: str(each.place) for each in batch})
    assert not spool.picture_room
    spool.append(arrivals(1, size=HALF - 100))
    spool.remove(spool.pictures(1))
    assert spool.picture_room


def test_it_outlives_the_process(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append(arrivals(1, 2, 3))
    spool.done(spool.oldest(1))
    spool.close()
    again = open_spool()
    assert (len(again), content(again)) == (2, [2, 3])
    again.append(arrivals(4))
    assert content(again) == [2, 3, 4]


def test_a_file_of_the_version_before_is_carried_on(open_spool: OpenSpool, path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as before:
        before.execute(
            "CREATE TABLE spool (place INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, topic TEXT NOT NULL,"
            " payload BLOB NOT NULL, received_at INTEGER NOT NULL)"
        )
        before.execute("INSERT INTO spool VALUES (7, 'verdict', 'pcb/verdict', x'01', 1)")
    before.close()
    for _ in range(2):
        spool = open_spool()
        assert content(spool) == [1]
        spool.close()


def test_killed_after_an_append_it_holds_all_of_it(path: Path, open_spool: OpenSpool) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from recorder.spool import Arrival, Spool\n"
        "spool = Spool(Path(sys.argv[1]), 100, 1)\n"
        "spool.append([Arrival('verdict', 'pcb/verdict', b'x', number) for number in range(50)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    ended = subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert content(open_spool()) == list(range(50))


def test_over_its_bounds_it_takes_nothing_of_a_batch_and_goes_on_when_there_is_room(open_spool: OpenSpool) -> None:
    spool = open_spool(rows=3)
    spool.append(arrivals(1, 2))
    with pytest.raises(SpoolFault, match="full"):
        spool.append(arrivals(3, 4))
    assert content(spool) == [1, 2]
    spool.done(spool.oldest(1))
    spool.append(arrivals(3, 4))
    assert (content(spool), spool.fill) == ([2, 3, 4], 1.0)


def test_bytes_are_bounded_too(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append(arrivals(1, size=HALF))
    with pytest.raises(SpoolFault, match="full"):
        spool.append(arrivals(2, size=HALF + 1))
    assert spool.fill == 0.5


def test_large_arrivals_come_in_small_batches(open_spool: OpenSpool) -> None:
    spool = open_spool(megabytes=100)
    spool.append(arrivals(1, 2, 3, size=5 * 2**20))
    assert [each.place for each in spool.oldest(500)] == [1, 2]


def test_the_places_of_what_is_gone_are_not_used_again(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append(arrivals(1))
    old = spool.oldest(1)
    spool.done(old)
    spool.append(arrivals(2))
    assert spool.oldest(1)[0].place > old[0].place


def test_once_empty_it_gives_the_disk_back(open_spool: OpenSpool, path: Path) -> None:
    spool = open_spool(megabytes=100)
    spool.append(arrivals(*range(10, 30), size=500_000))
    while spool.oldest(1):
        spool.done(spool.oldest(1000))
    spool.close()
    assert path.stat().st_size < 100_000


def test_a_disk_that_is_not_given_back_is_no_fault(open_spool: OpenSpool, path: Path) -> None:
    spool = open_spool(megabytes=100)
    spool.append(arrivals(*range(10, 50), size=500_000))
    reading = spool._db.execute("SELECT name FROM sqlite_master")
    assert reading.fetchone(), "half read, it lets nobody VACUUM"
    while batch := spool.oldest(1000):
        spool.done(batch)
    assert (len(spool), spool.fill) == (0, 0.0)
    reading.close()
    spool.close()
    assert path.stat().st_size > 16 * 2**20


def test_a_disk_that_takes_no_more_is_a_fault_and_harms_nothing_that_is_there(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append(arrivals(1))
    limit = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {limit}")
    with pytest.raises(SpoolFault, match="disk is full"):
        spool.append(arrivals(2, 3, size=100_000))
    assert (len(spool), content(spool)) == (1, [1])
    spool._db.execute("PRAGMA max_page_count = 1000000")
    spool.append(arrivals(2, 3, size=100_000))
    assert content(spool) == [1, 2, 3]


def test_a_file_that_another_process_holds_names_the_key(open_spool: OpenSpool, path: Path) -> None:
    open_spool()
    with pytest.raises(ConfigError, match=r"^recorder\.spool\.path: cannot use .*another process"):
        Spool(path, 1, 1)


def test_a_place_where_no_file_can_be_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "spool.db", tmp_path):
        with pytest.raises(ConfigError, match=r"^recorder\.spool\.path: "):
            Spool(path, 1, 1)


@pytest.mark.parametrize("place", [0, 4096], ids=["header", "pages"])
def test_a_damaged_file_is_set_aside_loudly_for_a_new_one(
    open_spool: OpenSpool, path: Path, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    spool = open_spool()
    spool.append(arrivals(1, 2, 3))
    spool.close()
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 4096)
    damaged = path.read_bytes()
    again = open_spool()
    again.append(arrivals(4))
    assert content(again) == [4]
    (aside,) = path.parent.glob("spool.db.damaged-*")
    assert aside.read_bytes() == damaged
    (said,) = (each.getMessage() for each in caplog.records if each.levelname == "CRITICAL")
    assert said.startswith("recorder.spool.path: ")
    assert str(aside) in said


def test_every_append_is_synchronous(open_spool: OpenSpool) -> None:
    spool = open_spool()
    assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
