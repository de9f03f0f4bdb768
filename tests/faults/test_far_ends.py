"""What the suite does to networks, disks and clocks is really done, and undone."""

import errno
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import block_disk
from support.block_disk import BlockDisk
from support.netns import FarNetwork
from support.tmpfs import SmallDisk, thaw

from faults.launch import read_pins, write_offset

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces and mounts")
PROJECT = Path(__file__).parents[2]
HOUR_NS = 3_600_000_000_000

KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=0.5).close()
except OSError:
    print("out of reach")
else:
    print("reached")
"""
WRITE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
db.execute("CREATE TABLE rows (number)")
for line in sys.stdin:
    print("begun", flush=True)
    db.execute("INSERT INTO rows VALUES (1)")
    print("written", flush=True)
"""
SWITCH = """
from gpiozero import OutputDevice
for pin in (22, 27):
    with OutputDevice(pin) as device:
        device.on()
        device.on()
        device.off()
OutputDevice(22).on()
"""
TELL_TIME = """
import sys, time
for _ in sys.stdin:
    print(time.time_ns(), round(time.time()), time.monotonic_ns(), flush=True)
"""


def launch(folder: Path, program: str, *options: str, arguments: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """`program` as a module of its own, started as the services of the suite are."""
    (folder / "launched.py").write_text(program, encoding="utf-8")
    environment = {
        **os.environ,
        "GPIOZERO_PIN_FACTORY": "mock",
        "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "tests", folder))),
    }
    command = [sys.executable, "-m", "faults.launch", *options, "launched", *arguments]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@needs_root
def test_a_far_process_is_cut_off_and_comes_back(tmp_path: Path) -> None:
    with FarNetwork() as far, socket.create_server((far.near, 0)) as server:

        def knock() -> str:
            address = (far.near, str(server.getsockname()[1]))
            with launch(tmp_path, KNOCK, "--netns", str(far.path), arguments=address) as knocking:
                return knocking.communicate(timeout=30)[0].strip()

        assert knock() == "reached"
        with far.unplugged():
            assert knock() == "out of reach"
        with far.blackhole():
            assert knock() == "out of reach"
        assert knock() == "reached"
    assert not far.path.exists()


@needs_root
def test_a_full_disk_takes_nothing_and_then_everything(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", megabytes=1) as disk:
        with disk.full(), pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (disk.path / "file").write_bytes(b"x" * 10_000)
        (disk.path / "file").write_bytes(b"x" * 10_000)
    assert not list(disk.path.iterdir())


@pytest.mark.skipif(not block_disk.available(), reason="needs root and loop devices")
def test_on_a_disk_that_hangs_nothing_fails_and_nothing_goes_on(tmp_path: Path) -> None:
    with BlockDisk(tmp_path / "disk", megabytes=2) as disk:
        with launch(tmp_path, WRITE, arguments=(str(disk.path / "rows.db"),)) as writing:
            asking, answers = writing.stdin, writing.stdout
            assert asking is not None
            assert answers is not None

            def ask() -> str:
                print(file=asking, flush=True)
                return answers.readline().strip()

            assert [ask(), answers.readline().strip()] == ["begun", "written"]
            with disk.hung():
                assert ask() == "begun"
                assert not select.select([answers], [], [], 0.3)[0]
                assert (disk.path / "rows.db").stat().st_size
            assert answers.readline().strip() == "written"
            asking.close()
        with disk.full(), pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            (disk.path / "file").write_bytes(b"x" * 10_000)


def test_what_is_no_disk_of_its_own_does_not_hang(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is not mounted"), BlockDisk(tmp_path, megabytes=1).hung():
        pass


def test_a_disk_that_a_dead_run_left_hanging_goes_on(tmp_path: Path) -> None:
    thaw(tmp_path)
    thaw(tmp_path / "nowhere")


def test_what_the_relays_see_is_written_down(tmp_path: Path) -> None:
    clock, pins = tmp_path / "clock", tmp_path / "pins"
    write_offset(clock, HOUR_NS)
    before = time.time_ns()
    with launch(tmp_path, SWITCH, "--clock", str(clock), "--pins", str(pins)) as switching:
        switching.communicate(timeout=30)
    levels = read_pins(pins)
    assert [(each.pin, each.high) for each in levels if each.pin == 27] == [
        (27, False),
        (27, True),
        (27, True),
        (27, False),
    ]
    assert (levels[-1].pin, levels[-1].high) == (22, True)
    assert before < levels[0].at < time.time_ns()
    assert levels[0].own - levels[0].at == pytest.approx(HOUR_NS, abs=1e9)


def test_the_wall_clock_of_one_process_is_stepped_while_it_runs(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    write_offset(clock, 0)
    with launch(tmp_path, TELL_TIME, "--clock", str(clock)) as telling:
        asking, answers = telling.stdin, telling.stdout
        assert asking is not None
        assert answers is not None

        def ahead_ns() -> tuple[int, int]:
            print(file=asking, flush=True)
            wall_ns, wall_s, monotonic = map(int, answers.readline().split())
            assert abs(wall_ns // 1_000_000_000 - wall_s) <= 1
            return wall_ns - time.time_ns(), monotonic - time.monotonic_ns()

        for offset in (0, HOUR_NS, -HOUR_NS, 0):
            write_offset(clock, offset)
            wall, monotonic = ahead_ns()
            assert abs(wall - offset) < 5_000_000_000
            assert abs(monotonic) < 5_000_000_000
        asking.close()
