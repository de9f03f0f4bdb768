"""Writes each verdict down, publishes it, and then acknowledges the trigger that asked for it."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from inference_subscriber import metrics
from inference_subscriber.board import Receipt
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Verdict
from pcb_bus.durable.outbox import Outbox
from pcb_bus.errors import OutboxFault
from pcb_bus.mqtt.session import QUEUED_AT_BROKER
from pcb_bus.runtime import metrics as bus_metrics
from pcb_bus.runtime.queues import Inbox

log = logging.getLogger(__name__)

_RETRIED_AT_ONCE = 500
_CAPACITY = QUEUED_AT_BROKER + 1000  # after a long absence, a verdict for each trigger that waited
_RECEIPTS = 2 * _CAPACITY

Publish = Callable[[bytes, Callable[[bool], None]], bool]
"""Hands a payload over at QoS 1 and says whether it was taken; calls back once the broker has answered."""


@dataclass(slots=True)
class _Pending:
    payload: bytes
    kept: bool = True
    receipts: list[Receipt] = field(default_factory=list)
    handed_over: bool = False


class VerdictSender:
    """Sees verdicts through to the broker, at most `capacity` at once; the oldest give way.

    A verdict that stands in the outbox is safe: its trigger is acknowledged at once, and whoever asks for the board
    again gets no second judgement. One that cannot be kept there (full, a broken disk) is published all the same, and
    its trigger acknowledged once the broker has accepted it.

    `publish` may call back at once, from this thread or from the network's with paho's locks held. So it is never
    called with the lock held, and triggers are acknowledged by `run`, on a thread of its own.
    """

    def __init__(self, publish: Publish, outbox: Outbox, capacity: int = _CAPACITY) -> None:
        self._publish = publish
        self._outbox = outbox
        self._capacity = capacity
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._lock = threading.Condition()
        self._accepted: Inbox[Receipt] = Inbox(_RECEIPTS)

    def __len__(self) -> int:
        return len(self._pending)

    def stands(self, verdict_id: str) -> bool:
        """Whether that board was judged, perhaps before a crash: its verdict is kept, or was recorded lately."""
        try:
            return self._outbox.knows(verdict_id)
        except OutboxFault as fault:
            log.error("cannot look for the verdict %s: %s", verdict_id, fault)
            return False

    def send(self, verdict: Verdict, receipts: list[Receipt]) -> bool:
        """Write down and publish; `receipts` are called once it is safe. Of two words on one board the first stands.

        False for the second word, which nobody hears.
        """
        identity = verdict.verdict_id
        if identity in self._pending or self.stands(identity):
            for receipt in receipts:
                self.acknowledge(identity, receipt)
            return False
        payload = encode_json(verdict)
        kept = self._keep(identity, payload)
        self._see_through(identity, _Pending(payload, kept, [] if kept else list(receipts)))
        for receipt in receipts if kept else ():
            self._accepted.put(receipt)
        return True

    def acknowledge(self, verdict_id: str, receipt: Receipt) -> None:
        """`receipt` is called once that verdict is safe; it may have been long ago."""
        with self._lock:
            pending = self._pending.get(verdict_id)
            if pending is not None and not pending.kept:
                pending.receipts.append(receipt)
                return
        if pending is None:
            self._publish_inherited(verdict_id)
        self._accepted.put(receipt)

    def run(self) -> None:
        """Call the receipts of accepted verdicts, until `stop`."""
        while (receipt := self._accepted.take()) is not None:
            receipt()

    def stop(self, timeout: float) -> None:
        """Wait up to `timeout` seconds until every verdict is accepted; then `run` ends with the last receipt."""
        with self._lock:
            self._lock.wait_for(lambda: not self._pending, timeout)
        self._accepted.close()

    def retry(self) -> None:
        """Hand over again what was refused, oldest first, until it is refused again."""
        with self._lock:
            refused = [identity for identity, pending in self._pending.items() if not pending.handed_over]
        for identity in refused[:_RETRIED_AT_ONCE]:
            if not self._hand_over(identity):
                return

    def _keep(self, verdict_id: str, payload: bytes) -> bool:
        try:
            self._outbox.keep(verdict_id, payload)
        except OutboxFault:
            bus_metrics.NOT_KEPT.labels("verdict").inc()
            return False
        return True

    def _publish_inherited(self, verdict_id: str) -> None:
        """A trigger comes back after a crash: perhaps its verdict was written down, but never published."""
        try:
            payload = self._outbox.inherited(verdict_id)
        except OutboxFault:
            return
        if payload is not None:
            self._see_through(verdict_id, _Pending(payload))

    def _see_through(self, verdict_id: str, pending: _Pending) -> None:
        with self._lock:
            self._pending[verdict_id] = pending
            if len(self._pending) > self._capacity:
                # One that is not kept leaves its trigger unacknowledged: the broker brings it back to the next session.
                self._pending.popitem(last=False)
                metrics.VERDICTS_GIVEN_UP.inc()
        self._hand_over(verdict_id)

    def _hand_over(self, identity: str) -> bool:
        with self._lock:
            pending = self._pending.get(identity)
            if pending is None:
                return True
            pending.handed_over = True
        taken = self._publish(pending.payload, lambda accepted: self._answered(identity, accepted))
        if not taken:
            self._answered(identity, accepted=False)
        return taken

    def _answered(self, identity: str, accepted: bool) -> None:
        with self._lock:
            pending = self._pending.pop(identity, None) if accepted else self._pending.get(identity)
            if pending is None:
                return
            pending.handed_over = accepted
            self._lock.notify_all()
        for receipt in pending.receipts if accepted else ():
            self._accepted.put(receipt)
