"""Beside an outbox: clears what the recorder names, sends the rest again, and tells when it piles up."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Level, Recorded
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.contract.topics import Topic, Topics, exactly
from pcb_bus.durable.outbox import Kept, Outbox
from pcb_bus.errors import MessageRejected, OutboxFault
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription
from pcb_bus.runtime import metrics
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.workers import Worker

_WAITING = 1000  # what gives way is named again when it is sent again

Publish = Callable[[Kept, Callable[[bool], None]], bool]
"""Hands a payload over at QoS 1 and says whether it was taken; calls back, on any thread, once the broker answered."""

Kind = Literal["verdict", "actuation", "trigger", "evidence"]

OnAlert = Callable[[Level, str, str], None]
"""Told (level, message, detail) when the outbox fills or empties; the detail is its state, empty when all is well."""

_STAGES: tuple[tuple[Level, str, str], ...] = (
    ("info", "the outbox empties: the recorder is back", ""),
    ("warning", "the outbox is half full: the recorder does not say that it recorded", "the outbox is half full"),
    ("error", "the outbox is nearly full: the recorder does not say that it recorded", "the outbox is nearly full"),
    ("critical", "the outbox takes no more: what the broker and the recorder lose now is lost",
     "the outbox takes no more"),
)  # fmt: skip
_SLACK = 0.1  # so that a fill that wavers around a mark is told once


class Fullness:
    """Follows how full one outbox is. Pure."""

    def __init__(self) -> None:
        self._stage = 0

    def see(self, fill: float, fault: str | None) -> tuple[Level, str, str] | None:
        """What to tell now that this share is taken, and the latest message was not kept because of `fault`."""
        before = self._stage
        self._stage = 3 if fault is not None else max(_stage(fill), min(before, _stage(fill + _SLACK)))
        return _STAGES[self._stage] if self._stage > before or (before and not self._stage) else None


def _stage(fill: float) -> int:
    return (fill >= 0.5) + (fill >= 0.9)


@dataclass(frozen=True, slots=True)
class Pace:
    """A message that has waited for `after_ns` goes out again: `batch` at once, batches at least `gap_ns` apart."""

    after_ns: int = 2 * NS_PER_S
    gap_ns: int = 100 * NS_PER_MS
    batch: int = 50  # fewer than the session keeps in flight: a fresh message never queues behind them


class Resends:
    """Goes round what waits, oldest first; `after_ns` lie between two rounds. Pure: `now` is monotonic ns.

    As long as no recorder is heard, one message at a time asks for one: more would fill the queue that the broker
    keeps for it, and drive out what is in there only once. Used by one thread.
    """

    def __init__(self, outbox: Outbox, publish: Publish, pace: Pace | None = None) -> None:
        self._outbox = outbox
        self._publish = publish
        self._pace = pace or Pace()
        self._old_enough = self._ripening = outbox.newest
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

    def tick(self, now: int) -> None:
        """Send what is due, if anything is."""
        if now < self._next_at or self._unanswered:
            return
        if not self._last_sent:
            self._begin_round(now)
        quiet = self._is_quiet(now)
        limit = 1 if quiet else self._pace.batch
        found = self._outbox.waiting(self._last_sent, self._old_enough, limit + 1)
        taken = all(self._send(each) for each in found[:limit])
        if taken and len(found) <= limit:
            self._last_sent = 0
        goes_on = taken and self._last_sent and not quiet
        self._next_at = now + (self._pace.gap_ns if goes_on else self._pace.after_ns)

    def _begin_round(self, now: int) -> None:
        if self._began_at is None or now - self._began_at >= self._pace.after_ns:
            # What had come by the beginning of the last round has waited for long enough by now.
            self._old_enough, self._ripening = self._ripening, self._outbox.newest
            self._began_at = now

    def _send(self, kept: Kept) -> bool:
        self._unanswered.add(kept.place)
        taken = self._publish(kept, lambda _: self._unanswered.discard(kept.place))
        if taken:
            self._last_sent = kept.place
        else:
            self._unanswered.discard(kept.place)
        return taken

    def _is_quiet(self, now: int) -> bool:
        return self._heard_at is None or now - self._heard_at > self._pace.after_ns


class Resender:
    """Sees to an outbox on a worker of its own: what went out long ago never stands in the way of something fresh.

    Make it before the session starts; worker, session and outbox stay the caller's, who closes the outbox last.

    Args:
        kind: what stands in the outbox: which list of `Recorded` names it, and where it goes out again.
        on_alert: runs on the worker.
        pace: how often messages go out again.
    """

    def __init__(
        self,
        session: MqttSession,
        topics: Topics,
        kind: Kind,
        outbox: Outbox,
        worker: Worker,
        on_alert: OnAlert,
        pace: Pace | None = None,
    ) -> None:
        self._session = session
        self._topics = topics
        self._kind = kind
        self._outbox = outbox
        self._on_alert = on_alert
        pace = pace or Pace()
        self._resends = Resends(outbox, self._publish, pace)
        self._fullness = Fullness()
        worker.every(pace.gap_ns / NS_PER_S, self._look)
        session.subscribe(Subscription(exactly(topics.recorded), worker.lane(_WAITING, self._clear, lambda _: None)))
        session.on_up(lambda: worker.do(self._resends.start_over))

    def _clear(self, delivery: Delivery) -> None:
        try:
            recorded = decode_json(Recorded, delivery.payload)
            named = recorded.evidence if self._kind == "evidence" else getattr(recorded, f"{self._kind}s")
            self._outbox.clear(named)
        except MessageRejected as rejection:
            self._session.reject("recorded", rejection)
        except OutboxFault as fault:
            self._session.complain("outbox", str(fault), error=True)
        else:
            if named or self._kind != "evidence":  # the store of the pictures may be away while rows are written
                self._resends.heard(time.monotonic_ns())

    def _publish(self, kept: Kept, on_done: Callable[[bool], None]) -> bool:
        return self._session.connected and self._session.publish(self._topic(kept), kept.payload, on_done=on_done)

    def _topic(self, kept: Kept) -> Topic:
        if self._kind == "evidence":
            return self._topics.resend_evidence(kept.identity.rpartition("/")[2])
        topic: Topic = getattr(self._topics, f"resend_{self._kind}")
        return topic

    def _look(self) -> None:
        try:
            self._resends.tick(time.monotonic_ns())
        except OutboxFault as fault:
            self._session.complain("outbox", str(fault), error=True)
        metrics.OUTBOX_WAITING.labels(self._kind).set(len(self._outbox))
        alert = self._fullness.see(self._outbox.fill, self._outbox.fault)
        if alert is not None:
            self._on_alert(*alert)


def resend(service: Service, kind: Kind, outbox: Outbox, pace: Pace | None = None, name: str = "outbox") -> None:
    """Have a service see to its outbox, on its worker of that name: an alert is an event, and part of its health."""

    def tell(level: Level, message: str, detail: str) -> None:
        service.event(level, message.replace("outbox", name), waiting=len(outbox), fault=outbox.fault)
        service.health[name] = detail.replace("outbox", name)

    Resender(service.session, service.topics, kind, outbox, service.worker(name), tell, pace)
