"""What every store of pictures does, wherever it keeps them."""

import hashlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from pcb_bus.contract.pictures import PictureSize
from recorder.images.forms import FORMS, Kind

_HELD_S = 600.0  # far longer than a commit may take
_FORGET_AT = 10_000
_PROBE = "00/probe.tmp"  # what a crash leaves of it is swept


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A picture in the store; `path` is relative to its root."""

    sha256: str
    path: str
    info: PictureSize


@dataclass(frozen=True, slots=True)
class Found:
    """A file in the store; `modified_at` in seconds since the epoch."""

    path: str
    modified_at: float


@dataclass(frozen=True, slots=True, eq=False)
class _Failure:
    """A picture of that size could not be saved."""

    reason: str
    size_bytes: int


class Images(ABC):
    """JPEGs at `<first two digits of the SHA-256>/<SHA-256>.jpg`, heat maps as `.png`. Safe on several threads.

    A picture that was just saved has no row yet, so for ten minutes `remove` leaves it alone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, float] = {}
        self._written_bytes = 0
        self._failure: _Failure | None = None

    @property
    def written_bytes(self) -> int:
        """Of new files since this object was made."""
        return self._written_bytes

    @property
    def failure(self) -> str | None:
        """Why the latest picture could not be saved; None if it was."""
        return None if self._failure is None else self._failure.reason

    def name(self, data: bytes, kind: Kind = "frame") -> StoredImage:
        """What `save` would return; nothing is written.

        Raises:
            MessageRejected: not a picture of that kind and of a sane size.
        """
        form = FORMS[kind]
        info = form.size_of(data)
        sha256 = hashlib.sha256(data).hexdigest()
        return StoredImage(sha256, f"{sha256[:2]}/{sha256}{form.suffix}", info)

    def save(self, data: bytes, kind: Kind = "frame") -> StoredImage:
        """Write the picture, whole or not at all, unless it is there already.

        Raises:
            MessageRejected: not a picture of that kind and of a sane size.
            OSError: the store does not take it.
        """
        image = self.name(data, kind)
        self._hold(image.path)
        try:
            is_new = self._put(image.path, data)
        except OSError as error:
            self._failure = _Failure(str(error), len(data))
            raise
        self._failure = None
        self._written_bytes += len(data) if is_new else 0
        return image

    def probe(self) -> bool:
        """Whether the store takes pictures: after a failure one as large as that is written, and removed again."""
        failure = self._failure
        if failure is None:
            return True
        try:
            self._delete(_PROBE)
            self._put(_PROBE, bytes(failure.size_bytes))
            self._delete(_PROBE)
        except OSError as error:
            self._failure = _Failure(str(error), failure.size_bytes)
            return False
        if self._failure is failure:  # else a picture has failed meanwhile
            self._failure = None
        return self._failure is None

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
