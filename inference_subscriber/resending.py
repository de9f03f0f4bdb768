"""Clears verdicts that the recorder names, sends again those that it does not, and tells when they pile up."""

import threading
import time
from collections.abc import Callable

from pcb_bus import metrics
from pcb_bus.codec import decode_json
from pcb_bus.errors import MessageRejected, OutboxFault
from pcb_bus.fullness import Fullness
from pcb_bus.inbox import Inbox
from pcb_bus.messages import Recorded
from pcb_bus.node import Node
from pcb_bus.outbox import Outbox
from pcb_bus.resends import Pace, Resends
from pcb_bus.session import Delivery

_WAITING = 1000  # what gives way is named again when it is sent again
_TOGETHER = 100
_AFTER_FAULT_S = 0.5


class ResendStage:
    """A thread of its own: what went out long ago never stands in the way of a fresh verdict."""

    def __init__(self, node: Node, outbox: Outbox, pace: Pace | None = None) -> None:
        self._node = node
        self._outbox = outbox
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
                self._node.session.complain("outbox", str(fault), error=True)
                self._stopping.wait(_AFTER_FAULT_S)
            self._watch()

    def stop(self) -> None:
        self._stopping.set()
        self._tasks.close()

    def _clear(self, delivery: Delivery) -> None:
        try:
            recorded = decode_json(Recorded, delivery.payload)
        except MessageRejected as rejection:
            self._node.reject("recorded", rejection)
            return
        self._outbox.clear(recorded.verdicts)
        self._resends.heard(time.monotonic_ns())

    def _publish(self, payload: bytes, on_done: Callable[[bool], None]) -> bool:
        session = self._node.session
        return session.connected and session.publish(self._node.topics.resend_verdict, payload, on_done=on_done)

    def _watch(self) -> None:
        metrics.OUTBOX_WAITING.set(len(self._outbox))
        alert = self._fullness.see(self._outbox.fill, self._outbox.fault)
        if alert is not None:
            self._node.event(alert.level, alert.message, waiting=len(self._outbox), fault=self._outbox.fault)
            self._node.set_state("degraded" if self._fullness.detail else "online", self._fullness.detail)
