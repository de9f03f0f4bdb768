"""When what nobody has recorded goes out again, and what of it. Pure: knows neither MQTT, clocks nor threads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.durable.outbox import Kept

Publish = Callable[[bytes, Callable[[bool], None]], bool]
"""Hands a payload over at QoS 1 and says whether it was taken; calls back, on any thread, once the broker answered."""


class Box(Protocol):
    """What keeps messages until they are recorded."""

    def newest(self) -> int: ...

    def waiting(self, after: int, until: int, limit: int) -> list[Kept]: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """A message that has waited for `after_ns` goes out again: `batch` at once, batches at least `gap_ns` apart."""

    after_ns: int = 2 * NS_PER_S
    gap_ns: int = 100 * NS_PER_MS
    batch: int = 50  # fewer than the session keeps in flight: a fresh message never queues behind them


class Resends:
    """Goes round what waits, oldest first; `after_ns` lie between two rounds.

    As long as no recorder is heard, one message at a time asks for one: more would fill the queue that the broker
    keeps for it, and drive out what is in there only once. Used by one thread; `now` is monotonic ns.
    """

    def __init__(self, box: Box, publish: Publish, pace: Pace | None = None) -> None:
        self._box = box
        self._publish = publish
        self._pace = pace or Pace()
        self._old_enough = self._ripening = box.newest()
        self._last_sent = 0
        self._began_at: int | None = None
        self._next_at = 0
        self._heard_at: int | None = None
        self._unanswered: set[int] = set()

    def start_over(self) -> None:
        """A new connection: begin with the oldest, at once."""
        self._last_sent = self._next_at = 0
        self._unanswered.clear()

    def heard(self, now: int) -> None:
        """The recorder has said what it recorded."""
        if self._is_quiet(now):
            self.start_over()
        self._heard_at = now

    def patience_s(self, now: int) -> float:
        """In how many seconds to call `tick` again, unless something happens."""
        return max(self._next_at - now, self._pace.gap_ns) / NS_PER_S

    def tick(self, now: int) -> None:
        """Send what is due, if anything is."""
        if now < self._next_at or self._unanswered:
            return
        if not self._last_sent:
            self._begin_round(now)
        quiet = self._is_quiet(now)
        limit = 1 if quiet else self._pace.batch
        found = self._box.waiting(self._last_sent, self._old_enough, limit + 1)
        taken = all(self._send(each) for each in found[:limit])
        if taken and len(found) <= limit:
            self._last_sent = 0
        goes_on = taken and self._last_sent and not quiet
        self._next_at = now + (self._pace.gap_ns if goes_on else self._pace.after_ns)

    def _begin_round(self, now: int) -> None:
        if self._began_at is None or now - self._began_at >= self._pace.after_ns:
            # What had come by the beginning of the last round has waited for long enough by now.
            self._old_enough, self._ripening = self._ripening, self._box.newest()
            self._began_at = now

    def _send(self, kept: Kept) -> bool:
        self._unanswered.add(kept.place)
        taken = self._publish(kept.payload, lambda _: self._unanswered.discard(kept.place))
        if taken:
            self._last_sent = kept.place
        else:
            self._unanswered.discard(kept.place)
        return taken

    def _is_quiet(self, now: int) -> bool:
        return self._heard_at is None or now - self._heard_at > self._pace.after_ns
