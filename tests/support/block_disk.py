"""A disk that can hang: writes wait and nothing fails, until it goes on. Needs root and loop devices.

A file with an ext4 in it, mounted through a loop device. `hung` freezes the file system (as `fsfreeze` does): the
kernel itself holds every write and every sync, on whichever thread, as with a dying SD card. Its limits: what is in the
page cache can still be read, and a process with a thread in such a write is not dead until the disk goes on.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from support.tmpfs import SmallDisk, thaw

_FREEZE = 0xC0045877  # FIFREEZE of linux/fs.h
_FORMAT = ("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal")  # not a byte kept for root


class BlockDisk(SmallDisk):
    """As `SmallDisk`, in the file `<path>.img`."""

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        image = self.path.with_name(f"{self.path.name}.img")
        with image.open("wb") as file:
            file.truncate(self._megabytes * 2**20)
        for command in ((*_FORMAT, str(image)), ("mount", "-o", "loop", str(image), str(self.path))):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
        return self

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Within the block every write waits."""
        if not self.path.is_mount():
            raise OSError(f"{self.path} is not mounted: what would hang is the disk of this machine")
        disk = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(disk, _FREEZE, 0)
            yield
        finally:
            os.close(disk)
            thaw(self.path)


def available() -> bool:
    """Whether this machine lets us make one."""
    if os.geteuid():
        return False
    try:
        with TemporaryDirectory() as folder, BlockDisk(Path(folder) / "disk", 1) as disk, disk.hung():
            return True
    except OSError:
        return False
