"""Pictures in a folder of this machine."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from recorder.images.base import Found, Images


class ImageStore(Images):
    """A folder of JPEGs. What `save` returned is on the disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def exists(self, path: str) -> bool:
        return (self._folder / path).is_file()

    def files(self, shard: str) -> Iterator[Found]:
        folder = self._folder / shard
        if not folder.is_dir():
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    yield Found(f"{shard}/{entry.name}", entry.stat().st_mtime)

    def free_bytes(self) -> int | None:
        return shutil.disk_usage(self._folder).free if self._folder.is_dir() else None

    def _put(self, path: str, data: bytes) -> bool:
        target = self._folder / path
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(target, data)
        return True

    def _delete(self, path: str) -> None:
        (self._folder / path).unlink(missing_ok=True)


def _write_atomically(target: Path, data: bytes) -> None:
    temporary = target.with_suffix(f".{os.getpid()}.{threading.get_native_id()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
