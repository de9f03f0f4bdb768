"""Ask a node something and wait for its answer (MQTT v5 request/response)."""

import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Command, CommandReply
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.errors import CommandFailed, MessageRejected
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription


@dataclass(slots=True)
class _Pending:
    done: threading.Event = field(default_factory=threading.Event)
    payload: bytes = b""


class Requester:
    """Sends commands and matches the answers by correlation data.

    Args:
        session: a session that may read `<root>/reply/<name>`.
        name: the requester's own name, its login at the broker.
    """

    def __init__(self, session: MqttSession, topics: Topics, name: str) -> None:
        self._session = session
        self._topics = topics
        self._reply_topic = topics.reply(name)
        self._pending: dict[bytes, _Pending] = {}
        session.subscribe(Subscription(exactly(self._reply_topic), self._on_reply))

    def ask(self, node: str, command: str, timeout: float = 2.0, **params: Any) -> dict[str, Any]:
        """The result of `command` on `node`.

        Raises:
            CommandFailed: it answered with an error, with nonsense, or not within `timeout` seconds.
        """
        correlation, pending = uuid.uuid4().bytes, _Pending()
        self._pending[correlation] = pending
        try:
            self._send(node, Command(command=command, params=params), correlation)
            if not pending.done.wait(timeout):
                raise CommandFailed(f"{node} did not answer {command} within {timeout:g} s")
        finally:
            del self._pending[correlation]
        return self._result(node, pending.payload)

    def _send(self, node: str, command: Command, correlation: bytes) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = str(self._reply_topic)
        properties.CorrelationData = correlation
        if not self._session.publish(self._topics.command(node), encode_json(command), properties=properties):
            raise CommandFailed(f"{command.command} to {node} could not be sent")

    def _on_reply(self, delivery: Delivery) -> None:
        pending = self._pending.get(delivery.correlation or b"")
        if pending is not None:
            pending.payload = delivery.payload
            pending.done.set()

    @staticmethod
    def _result(node: str, payload: bytes) -> dict[str, Any]:
        try:
            reply = decode_json(CommandReply, payload)
        except MessageRejected as rejection:
            raise CommandFailed(f"{node} answered nonsense: {rejection}") from None
        if reply.error is not None:
            raise CommandFailed(f"{node}: {reply.error}")
        return reply.result
