"""Listens to a line as its read-only viewer, and keeps the books."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Actuation, Category, Message, NodeState, NodeStatus, Recorded, Verdict
from pcb_bus.contract.topics import TopicFilter, Topics, exactly
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription
from pcb_bus.runtime.queues import Inbox
from simulator.accounting import Books, Tally
from simulator.accounts import BoardAccount
from simulator.schedule import Fault

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)
_INBOX = 10_000
_PATIENCE_S = 0.2


class Observer:
    """Books of a run, filled from the bus by a thread of its own.

    `changed` is notified whenever something new was written down.
    """

    def __init__(self, topics: Topics, books: Books | None = None) -> None:
        self._subscriptions: list[Subscription] = []
        self._session: MqttSession | None = None
        self._books = Books() if books is None else books
        self._nodes: dict[str, NodeStatus] = {}
        self.changed = threading.Condition()
        self._inbox: Inbox[Callable[[], None]] = Inbox(_INBOX)
        self._thread = threading.Thread(target=self._work, name="observer", daemon=True)
        self._listen(exactly(topics.verdict), Verdict, self._books.judged)
        self._listen(exactly(topics.actuation), Actuation, lambda report, _: self._books.reported(report))
        self._listen(exactly(topics.recorded), Recorded, lambda note, _: self._books.recorded(note.verdicts))
        self._listen(topics.all_status, NodeStatus, self._on_status, retained=True)

    def start(self, session: MqttSession) -> None:
        """Begin to listen on `session`, which is the observer's from now on."""
        self._session = session
        for subscription in self._subscriptions:
            session.subscribe(subscription)
        self._thread.start()
        session.start()

    def stop(self) -> None:
        """Write down what was heard until now, then end."""
        if self._session is not None:
            self._session.stop()
        self._inbox.close()
        self._thread.join()

    def expect(self, board_id: str, truth: Category | None, drawn: Sequence[Fault] = ()) -> None:
        """A board is about to come."""
        with self.changed:
            self._books.triggered(board_id, truth, drawn)
            self.changed.notify_all()

    def wait_for_nodes(self, names: frozenset[str], timeout: float, stop: threading.Event) -> frozenset[str]:
        """Those of `names` that are not online after at most `timeout` seconds, or when `stop` was set."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while self._missing(names) and not stop.is_set() and time.monotonic() < deadline:
                self.changed.wait(_PATIENCE_S)
            return self._missing(names)

    def wait_until_complete(self, timeout: float) -> bool:
        """True once every expected board has its verdict, report and record."""
        with self.changed:
            return self.changed.wait_for(lambda: self._books.complete, timeout)

    def view(self, since: int) -> tuple[Sequence[BoardAccount], Tally, dict[str, NodeState]]:
        """As of now: the accounts from number `since` on (negative: the last ones), counts, each node's state."""
        with self.changed:
            states = {name: status.state for name, status in self._nodes.items()}
            return self._books.since(since), replace(self._books.tally), states

    @property
    def books(self) -> Books:
        return self._books

    def _missing(self, names: frozenset[str]) -> frozenset[str]:
        return frozenset(name for name in names if not _is_ready(self._nodes.get(name)))

    def _on_status(self, status: NodeStatus, _: int) -> None:
        self._nodes[status.node] = status

    def _listen(
        self,
        pattern: TopicFilter,
        kind: type[M],
        write_down: Callable[[M, int], None],
        *,
        retained: bool = False,
    ) -> None:
        def read(delivery: Delivery) -> None:
            try:
                message = decode_json(kind, delivery.payload)
            except MessageRejected:
                log.exception("not understood on %s", delivery.topic)
            else:
                write_down(message, delivery.received_at)

        def enqueue(delivery: Delivery) -> None:
            self._inbox.put(lambda: read(delivery))

        self._subscriptions.append(Subscription(pattern, enqueue, retained=retained))

    def _work(self) -> None:
        while not (self._inbox.closed and not len(self._inbox)):
            note = self._inbox.take()
            if note is not None:
                with self.changed:
                    note()
                    self.changed.notify_all()


def _is_ready(node: NodeStatus | None) -> bool:
    """Edges that see the boards themselves have to know who of them leads."""
    return node is not None and node.state == "online" and (node.trigger != "presence" or node.leader is not None)
