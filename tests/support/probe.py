"""A foreign client: plain paho with a role's login, which collects what it receives."""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from broker import Broker

TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Received:
    """A message, and when it came (time.monotonic_ns)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None
    at_ns: int


class Probe:
    """Collects messages and waits for them. Use it as a context manager, or close it.

    Raises:
        ConnectionRefusedError: the broker refuses the login.
        TimeoutError: whatever a method waits for has not come in `timeout` seconds.
    """

    def __init__(
        self,
        broker: Broker,
        role: str,
        *,
        client_id: str = "",
        password: str | None = None,
        session_expiry_s: int = 0,
        clean_start: bool = True,
        line: str = "",
    ) -> None:
        login = broker.credentials(role, line)
        self.messages: list[Received] = []
        self.disconnects: list[ReasonCode] = []
        self._changed = threading.Condition()
        self._answers: dict[tuple[str, int], ReasonCode] = {}
        self._connacks: list[ReasonCode] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
        self.client.username_pw_set(login.username, login.password if password is None else password)
        self.client.on_socket_open = _without_delay
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_publish = self._on_publish
        self.client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = session_expiry_s
        self.client.connect(broker.host, broker.port, 60, clean_start=clean_start, properties=properties)
        self.client.loop_start()
        self._wait(lambda: bool(self._connacks), TIMEOUT_S, "CONNACK")
        if self._connacks[0].is_failure:
            self.close()
            raise ConnectionRefusedError(str(self._connacks[0]))

    def __enter__(self) -> "Probe":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye and end the network thread."""
        self.client.disconnect()
        self.client.loop_stop()
        half_made = self.client.socket()
        if half_made is not None:  # paho leaves a connection open that it was making just then
            half_made.close()

    def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Subscribe and wait until the broker has granted it."""
        _, mid = self.client.subscribe([(each, SubscribeOptions(qos=qos)) for each in filters])
        assert mid is not None
        self._answer("subscribe", mid)

    def publish(
        self, topic: str, payload: bytes | str = b"", qos: int = 1, retain: bool = False, **properties: Any
    ) -> int:
        """Publish and wait for the acknowledgement; its reason code, 0x87 where the ACL denies it.

        `properties` are those of MQTT v5 by their paho names (`ResponseTopic`, …). At QoS 0 there is no answer: 0.
        """
        extra = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(extra, name, value)
        info = self.client.publish(topic, payload, qos, retain, extra)
        return self._answer("publish", info.mid).value if qos else 0

    def wait_answered(self, sent: Iterable[mqtt.MQTTMessageInfo], timeout: float = TIMEOUT_S) -> None:
        """Wait until the broker has answered what `client.publish` was given, over a new connection if need be."""
        keys = {("publish", each.mid) for each in sent}
        self._wait(lambda: keys <= self._answers.keys(), timeout, "publish acknowledgement")

    def received(self, pattern: str) -> list[Received]:
        """What has come so far on the topics that match."""
        with self._changed:
            return [each for each in self.messages if mqtt.topic_matches_sub(pattern, each.topic)]

    def wait_for(
        self,
        pattern: str,
        predicate: Callable[[Received], bool] = lambda _: True,
        timeout: float = TIMEOUT_S,
    ) -> Received:
        """The first message, come already or yet to come, on a matching topic that satisfies the predicate."""
        return self.wait_for_count(pattern, 1, predicate, timeout)[0]

    def wait_for_count(
        self,
        pattern: str,
        count: int,
        predicate: Callable[[Received], bool] = lambda _: True,
        timeout: float = TIMEOUT_S,
    ) -> list[Received]:
        """As `wait_for`, until there are `count` of them."""
        found: list[Received] = []

        def enough() -> bool:
            found[:] = [
                each for each in self.messages if mqtt.topic_matches_sub(pattern, each.topic) and predicate(each)
            ]
            return len(found) >= count

        self._wait(enough, timeout, f"{count} on {pattern}")
        return found

    def wait_disconnected(self, timeout: float = TIMEOUT_S) -> ReasonCode:
        """Wait until the broker has ended the connection; the reason it gave."""
        self._wait(lambda: bool(self.disconnects), timeout, "disconnect")
        return self.disconnects[0]

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                topics = [each.topic for each in self.messages]
                raise TimeoutError(f"no {what} in {timeout:g} s; received so far: {topics}")

    def _answer(self, kind: str, mid: int) -> ReasonCode:
        self._wait(lambda: (kind, mid) in self._answers, TIMEOUT_S, f"{kind} acknowledgement")
        return self._answers.pop((kind, mid))

    def _note(self, key: tuple[str, int], reason: ReasonCode) -> None:
        with self._changed:
            self._answers[key] = reason
            self._changed.notify_all()

    def _on_connect(self, _c: mqtt.Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        with self._changed:
            self._connacks.append(reason)
            self._changed.notify_all()

    def _on_disconnect(self, _c: mqtt.Client, _u: object, _f: object, reason: ReasonCode, _p: object) -> None:
        with self._changed:
            self.disconnects.append(reason)
            self._changed.notify_all()

    def _on_subscribe(self, _c: mqtt.Client, _u: object, mid: int, reasons: list[ReasonCode], _p: object) -> None:
        self._note(("subscribe", mid), reasons[0])

    def _on_publish(self, _c: mqtt.Client, _u: object, mid: int, reason: ReasonCode, _p: object) -> None:
        self._note(("publish", mid), reason)

    def _on_message(self, _c: mqtt.Client, _u: object, message: mqtt.MQTTMessage) -> None:
        received = Received(
            message.topic, bytes(message.payload), message.qos, message.retain, message.properties, time.monotonic_ns()
        )
        with self._changed:
            self.messages.append(received)
            self._changed.notify_all()


def _without_delay(_client: mqtt.Client, _userdata: object, connection: Any) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
