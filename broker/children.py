"""Child processes that do not outlive the one that started them, however that one ends."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import IO

_DIE_WITH_PARENT = str(Path(__file__).with_name("die_with_parent.py"))


def start_child(
    command: Sequence[str], output: IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `command`, whose first word is a path; what it prints goes to `output`.

    On Linux it is killed when this process ends. Elsewhere a kill -9 of this process leaves it running.

    Raises:
        OSError: it cannot be started.
    """
    if sys.platform != "linux":
        return _start(command, output, environment)
    # The kernel asks for the thread that started the child, not for the process.
    return _starter().submit(_start, _tied(command), output, environment).result()


def _tied(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-I", "-S", _DIE_WITH_PARENT, str(os.getpid()), *command]


@cache
def _starter() -> ThreadPoolExecutor:
    """A thread that lives as long as this process."""
    os.register_at_fork(after_in_child=_starter.cache_clear)
    return ThreadPoolExecutor(1, "children")


def _start(command: Sequence[str], output: IO[bytes], environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    # Its own process group: a Ctrl-C at the terminal is for the one who started it.
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
