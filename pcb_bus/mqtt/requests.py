"""Ask a node something and wait for its answer (MQTT v5 request/response)."""

import math
import queue
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json, encode_msgpack
from pcb_bus.contract.messages import Command, CommandReply, Inspect, Message, Verdict
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.contract.topics import Topic, Topics, exactly
from pcb_bus.errors import CommandFailed, MessageRejected
from pcb_bus.mqtt.session import MAX_PACKET_BYTES, Delivery, MqttSession, Subscription

M = TypeVar("M", bound=Message)
_INSPECTOR = "inference"
_LARGEST = MAX_PACKET_BYTES - 1024
_ON_ITS_WAY_S = 0.3  # an answer given at the last moment is still heard


class Requester:
    """Sends commands and matches the answers by correlation data.

    Args:
        session: a session that may read `<root>/reply/<name>`.
        name: the requester's own name, its login at the broker.
    """

    def __init__(self, session: MqttSession, topics: Topics, name: str) -> None:
        self._session = session
        self._topics = topics
        self._name = name
        self._reply_topic = topics.reply(name)
        self._pending: dict[bytes, queue.SimpleQueue[bytes]] = {}
        session.subscribe(Subscription(exactly(self._reply_topic), self._on_reply))

    def ask(self, node: str, command: str, timeout: float = 2.0, **params: Any) -> dict[str, Any]:
        """The result of `command` on `node`. What failed here is not carried out later.

        Raises:
            CommandFailed: there is no connection, or it answered with an error, with nonsense, or not in time.
        """
        return self._result(node, self._ask(node, command, timeout, params))

    def fetch(self, kind: type[M], node: str, command: str, timeout: float = 2.0, **params: Any) -> M:
        """The same of a command that answers with a message of its own, in MessagePack."""
        return self._fetched(kind, node, self._ask(node, command, timeout, params))

    def inspect(self, pictures: Mapping[str, bytes], product: str | None = None, timeout: float = 4.0) -> Verdict:
        """What the line would say of a board that looks so: no gate moves, and nothing is recorded.

        Args:
            pictures: JPEGs by side.

        Raises:
            CommandFailed: inference cannot inspect them, is busy or away, or they are too large for the bus.
        """
        expires_at = now_ns() + round(timeout * NS_PER_S)
        payload = encode_msgpack(Inspect(pictures=dict(pictures), product=product, expires_at=expires_at))
        if len(payload) > _LARGEST:
            limit = f"all together may have {_LARGEST // 1024} KiB"
            raise CommandFailed(f"the pictures have {len(payload) // 1024} KiB, but {limit}: send smaller ones")
        answer = self._exchange(_INSPECTOR, "to inspect", self._topics.inspect(self._name), payload, timeout)
        return self._fetched(Verdict, _INSPECTOR, answer)

    def _fetched(self, kind: type[M], node: str, payload: bytes) -> M:
        if payload.startswith(b"{"):
            self._result(node, payload)
        return self._understood(node, lambda: decode_msgpack(kind, payload))

    def _result(self, node: str, payload: bytes) -> dict[str, Any]:
        reply = self._understood(node, lambda: decode_json(CommandReply, payload))
        if reply.error is not None:
            raise CommandFailed(f"{node}: {reply.error}")
        return reply.result

    def _understood(self, node: str, decode: Callable[[], M]) -> M:
        try:
            return decode()
        except MessageRejected as rejection:
            raise CommandFailed(f"{node} answered nonsense: {rejection}") from None

    def _ask(self, node: str, command: str, timeout: float, params: dict[str, Any]) -> bytes:
        message = Command(command=command, params=params, expires_at=now_ns() + round(timeout * NS_PER_S))
        return self._exchange(node, command, self._topics.command(node), encode_json(message), timeout)

    def _exchange(self, node: str, request: str, topic: Topic, payload: bytes, timeout: float) -> bytes:
        correlation, answer = uuid.uuid4().bytes, queue.SimpleQueue[bytes]()
        self._pending[correlation] = answer
        try:
            # QoS 0 is never kept through an outage, nor said again after one.
            if not self._session.publish(
                topic,
                payload,
                qos=0,
                response_topic=self._reply_topic,
                correlation=correlation,
                expiry_s=math.ceil(timeout),
            ):
                raise CommandFailed(f"{request} was not sent to {node}: there is no connection to the broker")
            return answer.get(timeout=timeout + _ON_ITS_WAY_S)
        except queue.Empty:
            raise CommandFailed(f"{node} did not answer {request} within {timeout:g} s") from None
        finally:
            del self._pending[correlation]

    def _on_reply(self, delivery: Delivery) -> None:
        answer = self._pending.get(delivery.correlation or b"")
        if answer is not None:
            answer.put(delivery.payload)
