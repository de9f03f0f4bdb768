"""How long something has held without a break. Pure: `now` is monotonic ns."""

from pcb_bus.contract.times import NS_PER_S

_STEP_NS = NS_PER_S


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


class WallClock:
    """Notices that the wall clock was set: then what it says of waiting times is wrong."""

    def __init__(self) -> None:
        self._ahead: int | None = None

    def runs_on(self, wall: int, now: int) -> bool:
        """False at the first look after it was set by a second or more; `wall` in ns since the epoch."""
        before, self._ahead = self._ahead, wall - now
        return before is None or abs(self._ahead - before) < _STEP_NS
