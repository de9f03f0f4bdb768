"""What the suite does to networks, disks and clocks is really done, and undone."""

import errno
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.netns import FarNetwork
from support.tmpfs import SmallDisk

from faults.launch import write_offset

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
TELL_TIME = """
import sys, time
for _ in sys.stdin:
    print(time.time_ns(), round(time.time()), time.monotonic_ns(), flush=True)
"""


def launch(folder: Path, program: str, *options: str, arguments: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """`program` as a module of its own, started as the services of the suite are."""
    (folder / "launched.py").write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, PROJECT / "tests", folder)))}
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
