"""The beat of sources that could deliver faster than a camera would."""

import threading
import time

from edge_publisher.sources.base import CameraGone


class Beat:
    """Lets one picture through every `1/fps` s. Beats that were missed are left out, not made up for."""

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._next = time.monotonic()
        self._closed = threading.Event()

    def wait(self) -> None:
        """Block until the next beat.

        Raises:
            CameraGone: closed meanwhile.
        """
        if self._closed.wait(max(0.0, self._next - time.monotonic())):
            raise CameraGone("closed")
        self._next = max(self._next + self._period, time.monotonic())

    def close(self) -> None:
        self._closed.set()
