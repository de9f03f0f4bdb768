"""The thread beside an outbox: clears what the recorder names, sends the rest again, and tells when it piles up."""

import threading
import time
from collections.abc import Callable, Iterable

from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Recorded
from pcb_bus.contract.topics import Topic
from pcb_bus.durable.fullness import Alert, Fullness
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resends import Pace, Resends
from pcb_bus.errors import MessageRejected, OutboxFault
from pcb_bus.mqtt.session import Delivery, MqttSession
from pcb_bus.runtime import metrics
from pcb_bus.runtime.node import Node
from pcb_bus.runtime.queues import Inbox

_WAITING = 1000  # what gives way is named again when it is sent again
_TOGETHER = 100
_AFTER_FAULT_S = 0.5

Concern = Callable[[Recorded], Iterable[str]]
"""Which of the recorder's lists names what stands in this outbox."""

OnAlert = Callable[[Alert, str], None]
"""Told that the outbox fills or empties, and what its state is in short; an empty one says that all is well."""


class ResendStage:
    """A thread of its own: what went out long ago never stands in the way of something fresh.

    Hand `hear` each `pcb/recorded`, and `connected` each new connection.

    Args:
        topic: where messages go out again.
        concern: the list of `Recorded` that names them.
        on_alert: runs on this stage's thread.
        pace: how often they go out again.
    """

    def __init__(
        self,
        session: MqttSession,
        outbox: Outbox,
        topic: Topic,
        concern: Concern,
        on_alert: OnAlert,
        pace: Pace | None = None,
    ) -> None:
        self._session = session
        self._outbox = outbox
        self._topic = topic
        self._concern = concern
        self._on_alert = on_alert
        self._resends = Resends(outbox, self._publish, pace)
        self._fullness = Fullness()
        self._tasks: Inbox[Callable[[], None]] = Inbox(_WAITING)
        self._stopping = threading.Event()

    def hear(self, delivery: Delivery) -> None:
        """Take note of one `pcb/recorded`."""
        self._tasks.put(lambda: self._clear(delivery))

    def connected(self) -> None:
        """There is a new connection: what waits goes out at once."""
        self._tasks.put(self._resends.start_over)

    def run(self) -> None:
        """Clear and send again, until `stop`."""
        while not self._stopping.is_set():
            tasks = self._tasks.take_many(_TOGETHER, self._resends.patience_s(time.monotonic_ns()))
            try:
                for task in tasks:
                    task()
                self._resends.tick(time.monotonic_ns())
            except OutboxFault as fault:
                self._session.complain("outbox", str(fault), error=True)
                self._stopping.wait(_AFTER_FAULT_S)
            self._watch()

    def stop(self) -> None:
        self._stopping.set()
        self._tasks.close()

    def _clear(self, delivery: Delivery) -> None:
        try:
            recorded = decode_json(Recorded, delivery.payload)
        except MessageRejected as rejection:
            metrics.REJECTED.labels("recorded", rejection.reason).inc()
            self._session.complain(f"recorded {rejection.reason}", f"rejected a recorded message: {rejection}")
            return
        self._outbox.clear(self._concern(recorded))
        self._resends.heard(time.monotonic_ns())

    def _publish(self, payload: bytes, on_done: Callable[[bool], None]) -> bool:
        return self._session.connected and self._session.publish(self._topic, payload, on_done=on_done)

    def _watch(self) -> None:
        metrics.OUTBOX_WAITING.set(len(self._outbox))
        alert = self._fullness.see(self._outbox.fill, self._outbox.fault)
        if alert is not None:
            self._on_alert(alert, self._fullness.detail)


def telling(node: Node, outbox: Outbox, show: Callable[[str], None] | None = None) -> OnAlert:
    """An alert becomes an event of the node, and its state; or `show` is told what is wrong (nothing: all is well)."""

    def tell(alert: Alert, detail: str) -> None:
        node.event(alert.level, alert.message, waiting=len(outbox), fault=outbox.fault)
        if show is None:
            node.set_state("degraded" if detail else "online", detail)
        else:
            show(detail)

    return tell
