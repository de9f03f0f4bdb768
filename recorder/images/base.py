"""What every store of pictures does, wherever it keeps them."""

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from pcb_bus.jpeg import JpegInfo, inspect_jpeg

MAX_PIXELS = 40_000_000
_HELD_S = 600.0  # far longer than a commit may take
_FORGET_AT = 10_000


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture in the store; `path` is relative to its root."""

    sha256: str
    path: str
    info: JpegInfo


@dataclass(frozen=True, slots=True)
class Found:
    """A file in the store; `modified_at` in seconds since the epoch."""

    path: str
    modified_at: float


class Images(ABC):
    """JPEGs at `<first two digits of the SHA-256>/<SHA-256>.jpg`. Safe on several threads.

    A picture that was just saved has no row yet, so for ten minutes `remove` leaves it alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}
        self._written_bytes = 0
        self._failure: str | None = None

    @property
    def written_bytes(self) -> int:
        """Of new files since this object was made."""
        return self._written_bytes

    @property
    def failure(self) -> str | None:
        """Why the latest picture could not be saved; None if it was."""
        return self._failure

    def save(self, jpeg: bytes) -> StoredImage:
        """Write the picture, whole or not at all, unless it is there already.

        Raises:
            MessageRejected: not a JPEG of a sane size.
            OSError: the store does not take it.
        """
        info = inspect_jpeg(jpeg, max_pixels=MAX_PIXELS)
        sha256 = hashlib.sha256(jpeg).hexdigest()
        path = f"{sha256[:2]}/{sha256}.jpg"
        self._hold(path)
        try:
            is_new = self._put(path, jpeg)
        except OSError as error:
            self._failure = str(error)
            raise
        self._failure = None
        self._written_bytes += len(jpeg) if is_new else 0
        return StoredImage(sha256, path, info)

    def remove(self, path: str) -> bool:
        """Whether the file is gone now; False for one that was just saved.

        Raises:
            OSError: the store does not do it.
        """
        with self._lock:
            if time.monotonic() - self._held.get(path, -_HELD_S) < _HELD_S:
                return False
            self._delete(path)
        return True

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Raises OSError if the store does not say."""

    @abstractmethod
    def files(self, shard: str) -> Iterator[Found]:
        """What lies under the two digits `shard`, left-over temporary files too."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Room that is left; None where nobody knows."""

    @abstractmethod
    def _put(self, path: str, data: bytes) -> bool:
        """Have it in the store; False if it was there."""

    @abstractmethod
    def _delete(self, path: str) -> None:
        """Nothing happens if it is not there."""

    def _hold(self, path: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._held[path] = now
            if len(self._held) > _FORGET_AT and now - next(iter(self._held.values())) >= _HELD_S:
                self._held = {each: at for each, at in self._held.items() if now - at < _HELD_S}
