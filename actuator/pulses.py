"""Which pin is high, until when, and which pulses wait. Pure: times are monotonic ns, given by the caller."""

import heapq
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Pulse:
    """One pulse for one verdict: begun at `due` or soon after, but never after `expires` (monotonic ns)."""

    due: int
    expires: int
    verdict_id: str
    pin: int
    duration_ns: int


@dataclass(frozen=True, slots=True)
class Due:
    """What a moment asks for: pulses to begin, pulses whose moment has passed, pins to switch off."""

    begin: tuple[Pulse, ...] = ()
    missed: tuple[Pulse, ...] = ()
    off: tuple[int, ...] = ()


@dataclass(slots=True)
class PulsePlan:
    """Pulses that overlap on one pin become one: it stays high until the last of them has had its full time."""

    _waiting: list[Pulse] = field(default_factory=list)
    _high_until: dict[int, int] = field(default_factory=dict)

    def add(self, pulse: Pulse) -> None:
        heapq.heappush(self._waiting, pulse)

    def take_due(self, now: int) -> Due:
        """Remove and return what is due; the caller tells `began` of each pulse once its pin is high.

        A pin whose next pulse begins at this very moment is not switched off in between.
        """
        ready = []
        while self._waiting and self._waiting[0].due <= now:
            ready.append(heapq.heappop(self._waiting))
        begin = tuple(pulse for pulse in ready if now <= pulse.expires)
        missed = tuple(pulse for pulse in ready if now > pulse.expires)
        held = {pulse.pin for pulse in begin}
        ended = tuple(pin for pin, until in self._high_until.items() if until <= now and pin not in held)
        for pin in ended:
            del self._high_until[pin]
        return Due(begin, missed, ended)

    def began(self, pulse: Pulse, now: int) -> None:
        """The pin of `pulse` is high since `now`, or was already."""
        self._high_until[pulse.pin] = max(self._high_until.get(pulse.pin, 0), now + pulse.duration_ns)

    def cancel(self) -> tuple[Pulse, ...]:
        """Remove and return every pulse that has not begun."""
        cancelled, self._waiting = tuple(sorted(self._waiting)), []
        return cancelled

    def drop_high(self) -> tuple[int, ...]:
        """Forget the pulses that run; returns the pins that the caller switches off."""
        pins = tuple(self._high_until)
        self._high_until.clear()
        return pins

    @property
    def high(self) -> frozenset[int]:
        """Pins that are high."""
        return frozenset(self._high_until)

    @property
    def next_at(self) -> int | None:
        """When `take_due` has something to return again; None: not before another pulse is added."""
        moments = [*self._high_until.values(), *(pulse.due for pulse in self._waiting[:1])]
        return min(moments, default=None)
