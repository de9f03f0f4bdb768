"""Listens to the line as its viewer: which nodes are there, what the verdicts say, and that there is news."""

import threading
import time
from collections.abc import Callable

from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import NodeStatus, Verdict
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription

_LOOK_AGAIN_S = 0.5  # for what the bus does not tell


class Witness:
    """Hears from its own session, straight from the broker, whatever is done to the line's own."""

    def __init__(self, session: MqttSession, topics: Topics) -> None:
        self._session = session
        self._changed = threading.Condition()
        self._news = 0
        self._nodes: dict[str, NodeStatus] = {}
        self._heard: dict[str, list[Verdict]] = {}
        session.subscribe(Subscription(exactly(topics.verdict), self._on_verdict))
        session.subscribe(Subscription(exactly(topics.recorded), lambda _: self._tell()))
        session.subscribe(Subscription(exactly(topics.actuation), lambda _: self._tell()))
        session.subscribe(Subscription(topics.all_status, self._on_status, retained=True))

    def start(self) -> None:
        self._session.start()

    def stop(self) -> None:
        self._session.stop(flush_s=0)

    @property
    def heard(self) -> dict[str, list[Verdict]]:
        """Verdicts by their id, the first one first; of each what is different."""
        with self._changed:
            return {key: list(versions) for key, versions in self._heard.items()}

    @property
    def deadlines(self) -> dict[str, int]:
        """By verdict id, ns."""
        return {key: versions[0].deadline_at for key, versions in self.heard.items()}

    def absent(self, nodes: frozenset[str]) -> frozenset[str]:
        """Those that do not say they are online or degraded."""
        with self._changed:
            there = {name for name, status in self._nodes.items() if status.state != "offline"}
        return nodes - there

    def trouble(self, node: str) -> str:
        """What it says is wrong with it; nothing while it says that it is well, or has said nothing yet."""
        with self._changed:
            status = self._nodes.get(node)
        return status.detail if status is not None and status.state == "degraded" else ""

    def wait_until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Look at each news, and now and then without; whether it came true within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self._news
            if condition():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._wait_for_news(seen, min(left, _LOOK_AGAIN_S))

    def _wait_for_news(self, seen: int, timeout: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._news != seen, timeout)

    def _tell(self) -> None:
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def _on_verdict(self, delivery: Delivery) -> None:
        try:
            verdict = decode_json(Verdict, delivery.payload)
        except MessageRejected:
            return  # a fault sends such
        with self._changed:
            versions = self._heard.setdefault(verdict.verdict_id, [])
            if verdict not in versions:
                versions.append(verdict)
        self._tell()

    def _on_status(self, delivery: Delivery) -> None:
        try:
            status = decode_json(NodeStatus, delivery.payload)
        except MessageRejected:
            return
        with self._changed:
            self._nodes[status.node] = status
        self._tell()
