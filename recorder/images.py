"""The evidence pictures on disk, named by their content: the same picture twice is one file."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pcb_bus.jpeg import JpegInfo, inspect_jpeg

MAX_PIXELS = 40_000_000


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture on disk; `path` is relative to the folder of images."""

    sha256: str
    path: str
    info: JpegInfo


class ImageStore:
    """A folder of JPEGs, `<first two digits of the SHA-256>/<SHA-256>.jpg`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, jpeg: bytes) -> StoredImage:
        """Write the picture, whole or not at all; it is on the disk when this returns.

        Raises:
            MessageRejected: not a JPEG of a sane size.
            OSError: the disk does not take it.
        """
        info = inspect_jpeg(jpeg, max_pixels=MAX_PIXELS)
        sha256 = hashlib.sha256(jpeg).hexdigest()
        path = f"{sha256[:2]}/{sha256}.jpg"
        target = self._folder / path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_atomically(target, jpeg)
        return StoredImage(sha256, path, info)


def _write_atomically(target: Path, data: bytes) -> None:
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
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
