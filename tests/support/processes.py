"""Processes as the kernel sees them. Linux."""

import os
import select
import time
from collections.abc import Iterable
from pathlib import Path


def children_of(pid: int) -> dict[int, str]:
    """Process ids, with the command line of each."""
    parents = ((path, _parent(path)) for path in Path("/proc").glob("[0-9]*"))
    return {int(path.name): _command(path) for path, parent in parents if parent == pid}


def wait_until_ended(pids: Iterable[int], timeout: float = 10.0) -> list[int]:
    """Those who still run after `timeout` seconds. One that nobody has waited for has ended too."""
    deadline = time.monotonic() + timeout
    return [pid for pid in pids if not _ends(pid, deadline - time.monotonic())]


def _ends(pid: int, timeout: float) -> bool:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], max(0.0, timeout))[0])
    finally:
        os.close(handle)


def _parent(path: Path) -> int | None:
    """The parent's id; None of a process that has just ended."""
    try:
        after_name = (path / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return None
    return int(after_name.split()[1])


def _command(path: Path) -> str:
    try:
        return (path / "cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")
    except OSError:
        return ""
