"""Sees each verdict through to the broker, and only then acknowledges the trigger that asked for it.

A durable outbox belongs here: it would write in `send`, and clear when the recorder names the verdict.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from inference_subscriber import metrics
from inference_subscriber.board import Receipt
from pcb_bus.codec import encode_json
from pcb_bus.inbox import Inbox
from pcb_bus.messages import Verdict
from pcb_bus.session import QUEUED_AT_BROKER

_RETRIED_AT_ONCE = 500
_CAPACITY = QUEUED_AT_BROKER + 1000  # after a long absence, a verdict for each trigger that waited
_RECEIPTS = 2 * _CAPACITY

Publish = Callable[[bytes, Callable[[bool], None]], bool]
"""Hands a payload over at QoS 1 and says whether it was taken; calls back once the broker has answered."""


@dataclass(slots=True)
class _Pending:
    payload: bytes
    receipts: list[Receipt] = field(default_factory=list)
    handed_over: bool = False


class VerdictSender:
    """Keeps verdicts until the broker has accepted them: at most `capacity`, the oldest give way.

    `publish` may call back at once, from this thread or from the network's with paho's locks held. So it is never
    called with the lock held, and what the broker has accepted is acknowledged by `run`, on a thread of its own.
    """

    def __init__(self, publish: Publish, capacity: int = _CAPACITY) -> None:
        self._publish = publish
        self._capacity = capacity
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._lock = threading.Condition()
        self._accepted: Inbox[Receipt] = Inbox(_RECEIPTS)

    def __len__(self) -> int:
        return len(self._pending)

    def send(self, verdict: Verdict, receipts: list[Receipt]) -> None:
        """Publish; `receipts` are called once the broker has accepted. Of two words on one board the first stands."""
        with self._lock:
            said = self._pending.get(verdict.verdict_id)
            if said is not None:
                said.receipts.extend(receipts)
                return
            self._pending[verdict.verdict_id] = _Pending(encode_json(verdict), list(receipts))
            if len(self._pending) > self._capacity:
                # Its trigger stays unacknowledged: the broker brings it back to the next session.
                self._pending.popitem(last=False)
                metrics.VERDICTS_GIVEN_UP.inc()
        self._hand_over(verdict.verdict_id)

    def acknowledge(self, verdict_id: str, receipt: Receipt) -> None:
        """`receipt` is called once that verdict is accepted; it may have been long ago."""
        with self._lock:
            pending = self._pending.get(verdict_id)
            if pending is not None:
                pending.receipts.append(receipt)
        if pending is None:
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
