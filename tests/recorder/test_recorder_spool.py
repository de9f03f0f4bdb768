"""The spool: on disk when it says so, in order, bounded, and whole after a crash."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pcb_bus.errors import ConfigError
from recorder.arrival import Arrival
from recorder.errors import SpoolFault
from recorder.spool import Bounds, Spool

OpenSpool = Callable[..., Spool]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recorder" / "spool.db"


@pytest.fixture
def open_spool(path: Path) -> Iterator[OpenSpool]:
    with ExitStack() as opened:

        def open_one(rows: int = 100, payload_bytes: int = 10_000) -> Spool:
            spool = Spool(path, Bounds(rows, payload_bytes))
            opened.callback(spool.close)
            return spool

        yield open_one


def arrivals(*numbers: int, size: int = 10) -> list[Arrival]:
    return [Arrival("verdict", "pcb/verdict", b"%d" % number * size, number) for number in numbers]


def content(spool: Spool) -> list[int]:
    return [each.arrival.received_at for each in spool.oldest(1000)]


def test_what_was_taken_comes_back_as_it_was_in_the_order_of_arrival(open_spool: OpenSpool) -> None:
    spool = open_spool()
    taken = [Arrival("evidence", "pcb/evidence/left", b"\x00\xff", 7), *arrivals(1, 2, 3)]
    spool.append(taken[:2])
    spool.append(taken[2:])
    assert [each.arrival for each in spool.oldest(1000)] == taken
    assert [each.arrival for each in spool.oldest(2)] == taken[:2]


def test_it_outlives_the_process(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append(arrivals(1, 2, 3))
    spool.remove(spool.oldest(1))
    spool.close()
    again = open_spool()
    assert (len(again), content(again)) == (2, [2, 3])
    again.append(arrivals(4))
    assert content(again) == [2, 3, 4]


def test_killed_after_an_append_it_holds_all_of_it(path: Path, open_spool: OpenSpool) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from recorder.arrival import Arrival; from recorder.spool import Bounds, Spool\n"
        "spool = Spool(Path(sys.argv[1]), Bounds(100, 10_000))\n"
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
    assert (content(spool), spool.fault) == ([1, 2], "the spool is full")
    spool.remove(spool.oldest(1))
    spool.append(arrivals(3, 4))
    assert (content(spool), spool.fault, spool.fill) == ([2, 3, 4], None, 1.0)


def test_bytes_are_bounded_too(open_spool: OpenSpool) -> None:
    spool = open_spool(payload_bytes=100)
    spool.append(arrivals(1, size=60))
    with pytest.raises(SpoolFault, match="full"):
        spool.append(arrivals(2, size=60))
    assert spool.fill == 0.6


def test_large_arrivals_come_in_small_batches(open_spool: OpenSpool) -> None:
    spool = open_spool(payload_bytes=2**30)
    spool.append(arrivals(1, 2, 3, size=5 * 2**20))
    assert [each.place for each in spool.oldest(500)] == [1, 2]


def test_the_places_of_what_is_gone_are_not_used_again(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append(arrivals(1))
    old = spool.oldest(1)
    spool.remove(old)
    spool.append(arrivals(2))
    assert spool.oldest(1)[0].place > old[0].place


def test_once_empty_it_gives_the_disk_back(open_spool: OpenSpool, path: Path) -> None:
    spool = open_spool(payload_bytes=2**30)
    spool.append(arrivals(*range(50), size=100_000))
    spool.remove(spool.oldest(1000))
    spool.remove(spool.oldest(1000))
    spool.close()
    assert path.stat().st_size < 100_000


def test_a_disk_that_takes_no_more_is_a_fault_and_harms_nothing_that_is_there(open_spool: OpenSpool) -> None:
    spool = open_spool(payload_bytes=2**30)
    spool.append(arrivals(1))
    limit = spool._db.execute("PRAGMA page_count").fetchone()[0]
    spool._db.execute(f"PRAGMA max_page_count = {limit}")
    with pytest.raises(SpoolFault, match="disk is full"):
        spool.append(arrivals(2, 3, size=100_000))
    assert content(spool) == [1]
    spool._db.execute("PRAGMA max_page_count = 1000000")
    spool.append(arrivals(2, 3, size=100_000))
    assert content(spool) == [1, 2, 3]


def test_a_file_that_another_process_holds_names_the_key(open_spool: OpenSpool, path: Path) -> None:
    open_spool()
    with pytest.raises(ConfigError, match=r"^recorder\.spool\.path: cannot use .*another process"):
        Spool(path, Bounds(1, 1))


def test_a_place_where_no_file_can_be_names_the_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "spool.db", tmp_path):
        with pytest.raises(ConfigError, match=r"^recorder\.spool\.path: "):
            Spool(path, Bounds(1, 1))


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
