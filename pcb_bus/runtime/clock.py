"""The line's clock is that of its inference node. Every other node can say how far its own is off.

Pure: both clocks are arguments. All times are ns since the epoch, by the clock that is named.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from pcb_bus.contract.times import NS_PER_MS, now_ns, steady_ns

DRIFT = 1 / 10_000
"""How unevenly two clocks may run: the crystals of a Pi and of a PC are each within 50 ppm."""

WINDOW = 8
_READING_NS = 2  # each of two clocks is read in whole ns
_STEP_NS = 5 * NS_PER_MS  # NTP slews what is less, and the steady clock with it


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer: `asked_at` and `answered_at` by the asker's clock, the others by the other's."""

    asked_at: int
    heard_at: int
    said_at: int
    answered_at: int

    @property
    def least(self) -> int:
        """The other's clock is at least this far ahead: the answer took no time at all."""
        return self.said_at - self.answered_at

    @property
    def most(self) -> int:
        """And at most this far: the question took none."""
        return self.heard_at - self.asked_at


@dataclass(frozen=True, slots=True)
class Offset:
    """The other's clock less the asker's, in ns, give or take `uncertainty`."""

    ns: int
    uncertainty: int


class OffsetEstimate:
    """What the last exchanges say together. Each bounds the offset, by its round trip; all of the bounds hold."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=WINDOW)

    def __len__(self) -> int:
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> bool:
        """False: it contradicts those before, so that a clock was set meanwhile, and they are forgotten."""
        if exchange.least > exchange.most:
            return True  # it was answered before it was asked: nothing can be learned from it
        self._exchanges.append(exchange)
        least, most = self._bounds(exchange.answered_at)
        if least > most:
            self._exchanges.clear()
            self._exchanges.append(exchange)
        return least <= most

    def at(self, now: int) -> Offset | None:
        """The offset by the asker's clock `now`; None: nobody has answered."""
        if not self._exchanges:
            return None
        least, most = self._bounds(now)
        middle = (least + most) // 2
        return Offset(middle, most - middle)

    def _bounds(self, now: int) -> tuple[int, int]:
        ages = (abs(now - each.answered_at) for each in self._exchanges)
        drifts = [ceil(DRIFT * age) + _READING_NS if age else 0 for age in ages]
        aged = list(zip(self._exchanges, drifts, strict=True))
        return max(each.least - drift for each, drift in aged), min(each.most + drift for each, drift in aged)


class LineClock:
    """Tells the line's time, by a steady clock of this process and what was measured. Any thread.

    Until something was, it is this machine's wall clock.
    """

    def __init__(self, wall: Callable[[], int] = now_ns, steady: Callable[[], int] = steady_ns) -> None:
        self._wall = wall
        self.steady = steady
        self._ahead = self._told = self._look()
        self._offset: int | None = None
        self._sure: tuple[int, int] | None = None

    def now(self) -> int:
        return self.line(self.steady())

    def line(self, steady: int) -> int:
        """What the line's clock said when the steady one said this."""
        return steady + (self.wall_ahead if self._offset is None else self._offset)

    def own(self, line: int) -> int:
        """What the steady clock said when the line's said this."""
        return line - self.line(0)

    def of_wall(self, wall: int) -> int:
        """What the steady clock said when the wall clock said this, a moment ago."""
        return wall - self.wall_ahead

    @property
    def doubt(self) -> int:
        """By how much `now` may be off, ns; 0 while it is the wall clock, which nothing contradicts."""
        if self._sure is None:
            return 0
        uncertainty, since = self._sure
        return uncertainty + ceil(DRIFT * (self.steady() - since))

    @property
    def wall_ahead(self) -> int:
        """By how much the wall clock has been set since the process began."""
        ahead = self._look()
        if abs(ahead - self._ahead) >= _STEP_NS:
            self._ahead = ahead
        return self._ahead

    def steps(self) -> int:
        """By how much the wall clock was set since this was asked last; 0: it was not."""
        before, self._told = self._told, self.wall_ahead
        return self._told - before

    def follow(self, measured: Offset) -> Offset:
        """The line's clock is so far ahead of the steady one. Returns how far it is ahead of the wall clock.

        Two clocks that may as well agree are left alone: NTP knows better than a network that is slower one way.
        """
        off = Offset(measured.ns - self.wall_ahead, measured.uncertainty)
        corrected = abs(off.ns) > off.uncertainty
        self._offset = measured.ns if corrected else self.wall_ahead
        self._sure = (off.uncertainty, self.steady()) if corrected else None
        return off

    def _look(self) -> int:
        for _ in range(5):
            before, wall, after = self.steady(), self._wall(), self.steady()
            if after - before < NS_PER_MS:
                break  # nothing held us up between the two
        return wall - after
