"""The pictures of the last moments, for triggers that come a little late."""

import threading
from collections import deque

from edge_publisher.sources import Picture
from pcb_bus.contract.times import NS_PER_S

MAX_BYTES = 96 * 1024 * 1024


class PictureRing:
    """Holds pictures for `seconds`, and no more than `max_bytes` of them; the newest always stays."""

    def __init__(self, seconds: float, max_bytes: int = MAX_BYTES) -> None:
        self._keep = round(seconds * NS_PER_S)
        self._max_bytes = max_bytes
        self._pictures: deque[Picture] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, picture: Picture) -> None:
        with self._lock:
            while self._pictures and self._pictures[-1].captured_at >= picture.captured_at:
                self._bytes -= size_of(self._pictures.pop())  # the clock was set back: their times mean nothing now
            self._pictures.append(picture)
            self._bytes += size_of(picture)
            oldest = picture.captured_at - self._keep
            while len(self._pictures) > 1 and (self._pictures[0].captured_at < oldest or self._bytes > self._max_bytes):
                self._bytes -= size_of(self._pictures.popleft())

    def pictures(self) -> tuple[Picture, ...]:
        """Oldest first; each captured later than the one before."""
        with self._lock:
            return tuple(self._pictures)


def size_of(picture: Picture) -> int:
    """Bytes that it takes in memory."""
    return (0 if picture.image is None else picture.image.nbytes) + len(picture.jpeg or b"")
