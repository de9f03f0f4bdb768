"""How long something has held without a break. Pure: `now` is monotonic ns."""


class HeldFor:
    """Says when a condition has held for `length_ns` at every look."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._since: int | None = None

    def see(self, holds: bool, now: int) -> bool:
        if not holds:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._length_ns
