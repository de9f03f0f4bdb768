"""A small disk of its own, which can be filled. Needs root."""

import errno
import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_BALLAST = "ballast"
_BLOCK = bytes(64 * 1024)
_THAW = 0xC0045878  # FITHAW of linux/fs.h


class SmallDisk:
    """A tmpfs of `megabytes` at `path` while the context is open.

    Raises:
        OSError: it cannot be mounted.
    """

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._megabytes = megabytes

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        size = f"size={self._megabytes}m,mode=0755"
        command = ["mount", "-t", "tmpfs", "-o", size, "boardline-disk", str(self.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"{self.path} cannot be mounted: {done.stderr.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unmount(self.path)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Within the block there is not one byte left."""
        ballast = self.path / _BALLAST
        try:
            _fill(ballast)
            yield
        finally:
            ballast.unlink(missing_ok=True)


def unmount(path: Path) -> None:
    """Take the disk away, also from under a process that still holds it, and though it hangs."""
    thaw(path)
    subprocess.run(["umount", "--lazy", str(path)], capture_output=True, check=False)


def thaw(path: Path) -> None:
    """Let a disk go on that hangs, and with it whoever waits for it."""
    with suppress(OSError):  # it does not hang, or there is none
        disk = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(disk, _THAW, 0)
        finally:
            os.close(disk)


def remove_leftovers(folders: Path, prefix: str) -> None:
    """Unmount the disks below `folders/<prefix><process id>-…` whose runs are dead."""
    mounted = (line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines())
    for path in map(Path, mounted):
        top = _below(path, folders)
        owner = top.removeprefix(prefix).partition("-")[0] if top.startswith(prefix) else ""
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            unmount(path)


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0] if path != folder and path.is_relative_to(folder) else ""


def _fill(path: Path) -> None:
    file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        _write_until_full(file, _BLOCK)
        _write_until_full(file, b"\0")
    finally:
        os.close(file)


def _write_until_full(file: int, block: bytes) -> None:
    while True:
        try:
            os.write(file, block)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return
