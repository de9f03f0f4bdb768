"""A network namespace that is joined to this machine by a cable of its own: the far end of a line."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

PREFIX = "boardline-"
_NAMESPACES = Path("/run/netns")


class FarNetwork:
    """A namespace with an address of its own; this side is `near`, that one `far`. Needs root.

    Addresses are of 198.18.0.0/15, which is set aside for tests of networks; the process id chooses them, and is in
    the names, so that what a dead run left behind can be told.

    Raises:
        OSError: the namespace cannot be made.
    """

    def __init__(self) -> None:
        number = os.getpid() % 16_384
        base = f"198.18.{number // 64}.{number % 64 * 4}"
        head, _, last = base.rpartition(".")
        self.near, self.far = f"{head}.{int(last) + 1}", f"{head}.{int(last) + 2}"
        self.name = f"{PREFIX}{os.getpid()}"
        self._cable = (f"bl{os.getpid()}n", f"bl{os.getpid()}f")
        self._undo = ExitStack()

    @property
    def path(self) -> Path:
        """What a process opens to enter."""
        return _NAMESPACES / self.name

    def __enter__(self) -> Self:
        remove_leftovers()
        near, far = self._cable
        with ExitStack() as undo:
            undo.callback(_ip_quietly, "netns", "delete", self.name)
            _ip("netns", "add", self.name)
            undo.callback(_ip_quietly, "link", "delete", near)
            _ip("link", "add", near, "type", "veth", "peer", "name", far)
            _ip("link", "set", far, "netns", self.name)
            _ip("address", "add", f"{self.near}/30", "dev", near)
            _ip("link", "set", near, "up")
            self._inside("address", "add", f"{self.far}/30", "dev", far)
            self._inside("link", "set", far, "up")
            self._inside("link", "set", "lo", "up")
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Within the block the cable is out."""
        _ip("link", "set", self._cable[0], "down")
        try:
            yield
        finally:
            _ip("link", "set", self._cable[0], "up")

    @contextmanager
    def blackhole(self) -> Iterator[None]:
        """Within the block whatever this side sends to the other vanishes without a word."""
        route = ("route", "{}", "blackhole", f"{self.far}/32")
        _ip(*(part.format("add") for part in route))
        try:
            yield
        finally:
            _ip(*(part.format("delete") for part in route))

    def _inside(self, *arguments: str) -> None:
        _ip("-netns", self.name, *arguments)


def remove_leftovers() -> None:
    """Delete the namespaces whose runs are dead; their cables go with them."""
    for path in _NAMESPACES.glob(f"{PREFIX}*"):
        owner = path.name.removeprefix(PREFIX)
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            _ip_quietly("netns", "delete", path.name)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _ip_quietly(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=False)
