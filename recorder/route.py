"""Which way arrivals go: straight to the database, or through the spool. Knows neither MQTT, clocks nor databases.

The straight way closes with the first arrival that goes round it, and opens again once the spool is empty: so nothing
overtakes what came before it.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

from recorder import metrics
from recorder.arrival import Arrival


class Keeps(Protocol):
    """What arrivals wait in."""

    def __len__(self) -> int: ...

    def append(self, arrivals: Sequence[Arrival]) -> None: ...


class Route:
    """Shared by the thread that takes arrivals in and the one that writes them. Closed until it is first opened."""

    def __init__(self, spool: Keeps) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._direct = False
        metrics.SPOOLING.set(1)

    @property
    def direct(self) -> bool:
        return self._direct

    def divert(self, arrivals: Sequence[Arrival]) -> bool:
        """They wait behind what waits already, and so does what comes after; whether the straight way was open.

        Raises:
            SpoolFault: they do not fit; the way stays as it was.
        """
        with self._lock:
            self._spool.append(arrivals)
            was_open = self._direct
            self._set(False)
            return was_open

    def open_if_empty(self) -> bool:
        """Whether nothing waits any more; then the straight way is open."""
        with self._lock:
            if len(self._spool) == 0:
                self._set(True)
            return self._direct

    def _set(self, direct: bool) -> None:
        self._direct = direct
        metrics.SPOOLING.set(not direct)
