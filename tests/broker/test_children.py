"""Children end with the process that started them, and not with the thread."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.peer import until
from support.processes import wait_until_ended

from broker.children import start_child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
PROJECT = Path(__file__).parents[2]
IDLE = [sys.executable, "-c", "import signal; print('here', flush=True); signal.pause()"]
PARENT = f"""
import sys, threading
from broker.children import start_child
with open(sys.argv[1], "wb") as output:
    children = []
    thread = threading.Thread(target=lambda: children.append(start_child({IDLE}, output)))
    thread.start()
    thread.join()
    children.append(start_child({IDLE}, output))
    print(*(child.pid for child in children), flush=True)
    children[0].wait()
"""


def test_children_of_a_process_that_is_killed_end_with_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "output")]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    assert wait_until_ended(pids) == []


def test_a_child_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    path = tmp_path / "output"
    children: list[subprocess.Popen[bytes]] = []

    def start_and_see_it_run() -> None:
        children.append(start_child(IDLE, output))
        until(lambda: path.read_bytes() == b"here\n")

    with path.open("wb") as output:
        thread = threading.Thread(target=start_and_see_it_run)
        thread.start()
        thread.join()
    (child,) = children
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)
    child.terminate()
    assert child.wait(10) == -signal.SIGTERM


def test_a_child_has_its_arguments_environment_and_exit_code(tmp_path: Path) -> None:
    program = "import os, sys; print(sys.argv[1], os.environ['BOARD']); sys.exit(2)"
    with (tmp_path / "output").open("wb") as output:
        child = start_child([sys.executable, "-c", program, "a b"], output, {"BOARD": "7"})
    assert child.wait(10) == 2
    assert (tmp_path / "output").read_text(encoding="utf-8") == "a b 7\n"


def test_a_command_that_is_not_there_ends_with_the_reason(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        child = start_child([str(tmp_path / "nothing")], output)
    assert child.wait(10) == 1
    assert "No such file" in (tmp_path / "output").read_text(encoding="utf-8")
