"""How many threads a training step should use on a machine that others use too.

Two threads in step are as slow as the slower one: beside a busy core, one thread alone is faster. So the step times
decide, anew every few steps.
"""

from __future__ import annotations

_PROBE_EVERY = 12
_WEIGHT_OF_NEWEST = 0.4


class Pace:
    """Chooses between one thread and the limit by the time that steps with each took lately."""

    def __init__(self, limit: int) -> None:
        self._choices = sorted({1, limit})
        self._seconds: dict[int, float] = {}
        self._steps = 0

    def next_threads(self) -> int:
        """The number of threads for the next step: the faster choice, at times the one not tried for a while."""
        self._steps += 1
        untried = [n for n in self._choices if n not in self._seconds]
        if untried:
            return untried[0]
        fastest = min(self._choices, key=self._seconds.__getitem__)
        if self._steps % _PROBE_EVERY == 0:
            return next((n for n in self._choices if n != fastest), fastest)
        return fastest

    def report(self, threads: int, seconds: float) -> None:
        """Take note of how long a step took."""
        known = self._seconds.get(threads, seconds)
        self._seconds[threads] = known + _WEIGHT_OF_NEWEST * (seconds - known)
