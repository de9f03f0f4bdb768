"""Which pin is high, until when, and which pulses wait. Pure: times are monotonic ns, given by the caller."""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_NONE: Mapping[int, str] = MappingProxyType({})
_FOREVER = 2**62


@dataclass(frozen=True, slots=True, order=True)
class Pulse:
    """One pulse for one verdict: begun at `due` or soon after, but never after `expires` (monotonic ns)."""

    due: int
    expires: int
    verdict_id: str
    pin: int
    duration_ns: int

    @property
    def is_hold(self) -> bool:
        """No verdict's pulse: the pin is to be high until `release`."""
        return self.duration_ns == _FOREVER


def hold(pin: int, due: int = 0) -> Pulse:
    """A pulse without an end."""
    return Pulse(due, _FOREVER, "", pin, _FOREVER)


@dataclass(frozen=True, slots=True)
class Due:
    """What a moment asks for: pins to switch off, then pulses to begin; and pulses whose moment has passed."""

    begin: tuple[Pulse, ...] = ()
    missed: tuple[Pulse, ...] = ()
    off: tuple[int, ...] = ()


class PulsePlan:
    """Pulses that overlap on one pin become one: it stays high until the last of them has had its full time.

    Args:
        groups: pins with the same name are never high together. What is due while another pin of the group is high
            waits, the earliest due first; once it could not begin in time any more, it is missed.
    """

    def __init__(self, groups: Mapping[int, str] = _NONE) -> None:
        self._groups = groups
        self._waiting: list[Pulse] = []
        self._blocked: list[Pulse] = []
        self._high_until: dict[int, int] = {}
        self._held: set[int] = set()

    def add(self, pulse: Pulse) -> None:
        heapq.heappush(self._waiting, pulse)

    def take_due(self, now: int) -> Due:
        """Remove and return what is due; the caller switches off, then tells `began` of each pin that it switched on.

        A pin whose next pulse begins at this very moment is not switched off in between.
        """
        begin, missed = self._sort_out(self._take_ready(now), now)
        going_on = {pulse.pin for pulse in begin} | self._held
        ended = [pin for pin, until in self._high_until.items() if until <= now]
        for pin in ended:
            del self._high_until[pin]
        return Due(tuple(begin), tuple(missed), tuple(pin for pin in ended if pin not in going_on))

    def may_begin(self, pulse: Pulse) -> bool:
        """Whether no other pin of its group is high."""
        group = self._groups.get(pulse.pin)
        return group is None or all(pin == pulse.pin for pin in self.high if self._groups.get(pin) == group)

    def began(self, pulse: Pulse, now: int) -> None:
        """The pin of `pulse` is high since `now`, or was already."""
        if pulse.is_hold:
            self._held.add(pulse.pin)
        else:
            self._high_until[pulse.pin] = max(self._high_until.get(pulse.pin, 0), now + pulse.duration_ns)

    def stays_high(self, pin: int, until: int) -> None:
        """It could not be switched off; `take_due` asks for it again."""
        self._high_until[pin] = until

    def release(self, now: int) -> None:
        """End what is held; a pulse that runs on such a pin has its full time."""
        self._waiting = [pulse for pulse in self._waiting if not pulse.is_hold]
        heapq.heapify(self._waiting)
        self._blocked = [pulse for pulse in self._blocked if not pulse.is_hold]
        for pin in self._held:
            self._high_until.setdefault(pin, now)
        self._held.clear()

    def cancel(self) -> tuple[Pulse, ...]:
        """Remove every pulse that has not begun; returns those of verdicts."""
        cancelled = sorted(self._waiting + self._blocked)
        self._waiting, self._blocked = [], []
        return tuple(pulse for pulse in cancelled if not pulse.is_hold)

    def drop_high(self) -> tuple[int, ...]:
        """Forget the pulses that run; returns the pins that the caller switches off."""
        pins = tuple(self.high)
        self._high_until.clear()
        self._held.clear()
        return pins

    @property
    def high(self) -> frozenset[int]:
        """Pins that are high."""
        return frozenset(self._high_until) | self._held

    @property
    def next_at(self) -> int | None:
        """When `take_due` has something to return again; None: not before another pulse is added."""
        taken = {self._groups.get(pin) for pin in self.high}
        freed = [pulse.due for pulse in self._blocked if self._groups[pulse.pin] not in taken]
        return min([*freed, *self._high_until.values(), *(pulse.due for pulse in self._waiting[:1])], default=None)

    def _take_ready(self, now: int) -> list[Pulse]:
        ready, self._blocked = self._blocked, []
        while self._waiting and self._waiting[0].due <= now:
            ready.append(heapq.heappop(self._waiting))
        return sorted(ready)

    def _sort_out(self, ready: list[Pulse], now: int) -> tuple[list[Pulse], list[Pulse]]:
        """What begins, and what is missed; the rest of `ready` is blocked."""
        taken = self._taken(now)
        begin: list[Pulse] = []
        missed: list[Pulse] = []
        queues: set[str] = set()
        for pulse in ready:
            group = self._groups.get(pulse.pin, "")
            owner, free_at = taken.get(group, (pulse.pin, 0))
            if now > pulse.expires:
                missed.append(pulse)
            elif group in queues:
                self._blocked.append(pulse)
            elif not group or owner == pulse.pin:
                begin.append(pulse)
                taken[group] = pulse.pin, max(free_at, now + pulse.duration_ns)
            elif free_at > pulse.expires:
                missed.append(pulse)
            else:
                self._blocked.append(pulse)
                queues.add(group)
        return begin, missed

    def _taken(self, now: int) -> dict[str, tuple[int, int]]:
        """Of each group the pin that goes on being high, and until when."""
        high = {pin: until for pin, until in self._high_until.items() if until > now}
        high |= dict.fromkeys(self._held, _FOREVER + 1)
        return {self._groups[pin]: (pin, until) for pin, until in high.items() if pin in self._groups}
