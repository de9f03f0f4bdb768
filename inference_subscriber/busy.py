"""When the engine was busy: takes its time apart from everything else's."""

from collections import deque


class BusyLog:
    """The last runs of one engine, which never overlap. Times: monotonic ns."""

    def __init__(self, runs: int = 512) -> None:
        self._runs: deque[tuple[int, int]] = deque(maxlen=runs)

    def add(self, started_at: int, ended_at: int) -> None:
        self._runs.append((started_at, ended_at))

    def within(self, since: int, until: int) -> int:
        """Ns of `since` to `until` in which the engine ran."""
        return sum(max(0, min(ended_at, until) - max(started_at, since)) for started_at, ended_at in self._runs)
