"""How long to wait before trying again."""

import random


class Backoff:
    """Doubles from `first` to `longest` seconds, each shortened at random by up to half."""

    def __init__(self, first: float = 1.0, longest: float = 10.0) -> None:
        self._first = first
        self._longest = longest
        self._tries = 0

    def next_s(self) -> float:
        delay = min(self._longest, self._first * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return delay * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._tries = 0
