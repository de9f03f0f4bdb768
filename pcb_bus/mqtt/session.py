"""One MQTT v5 session on paho: what a service says and hears, through every failure of the network.

Subscriptions are declarations, restored on each connect; an acknowledgement belongs to the connection that delivered;
a publish is only done when the broker says so.
"""

import logging
import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from paho.mqtt import MQTTException
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from pcb_bus.contract.times import now_ns
from pcb_bus.contract.topics import Topic, TopicFilter
from pcb_bus.errors import ConfigError, MessageRejected
from pcb_bus.mqtt.login import Login, why_no_tls
from pcb_bus.mqtt.receipts import Receipts
from pcb_bus.runtime import metrics
from pcb_bus.runtime.logs import Throttle
from pcb_bus.runtime.workers import Turn

log = logging.getLogger(__name__)

MAX_PACKET_BYTES = 4 * 1024 * 1024
# Mosquitto 2.0.11 forgets the receive maximum with the first acknowledgement (its issue 2301) and sends all that it
# has queued for the session, which `max_queued_messages` in broker/mosquitto.conf bounds. Inboxes have room for that.
QUEUED_AT_BROKER = 20_000
NETWORK_THREAD = "paho-mqtt-client-"  # what paho's names for its threads begin with
_MAX_QUEUED = 1000  # QoS 1 messages that paho keeps while the broker is away
_MAX_UNSENT = 4  # QoS 0 messages that may wait for a slow network: more would be a backlog
_BACKOFF_S = (0.3, 1.0)
_BACKOFF_MAX_S = (4.0, 8.0)
_MOST_IN_KERNEL = 128 * 1024  # bytes that are not on their way yet
_WATCHDOG_S = 2.0
_GOODBYE_S = 1.0  # paho would wait for its network thread for as long as a connection attempt takes
_HEADER_BYTES = 1024  # what topic and properties may add to a payload


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came. `received_at` is ns since the epoch; `ack` tells the broker that it is dealt with.

    `expiry_s`: for how many seconds from now on it is still of use, if its sender said so.
    """

    topic: str
    payload: bytes = field(repr=False)
    retain: bool
    received_at: int
    response_topic: str | None
    correlation: bytes | None
    ack: Callable[[], None] = field(repr=False)
    expiry_s: int | None = None


Handler = Callable[[Delivery], object]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A declared interest. `handler` runs on the network thread, so it only enqueues.

    With `manual_ack` the handler's owner calls `Delivery.ack`; otherwise the session does once the handler returned.
    """

    filter: TopicFilter
    handler: Handler
    qos: int = 1
    manual_ack: bool = False
    retained: bool = False

    @property
    def options(self) -> SubscribeOptions:
        handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE if self.retained else SubscribeOptions.RETAIN_DO_NOT_SEND
        # Where it is wanted, the flag says that the broker remembered it; elsewhere, that its sender had it retained.
        return SubscribeOptions(qos=self.qos, retainAsPublished=not self.retained, retainHandling=handling)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How the broker treats the session.

    Args:
        durable: the broker keeps the session (and QoS 1 messages for it) for `expiry_s` while the node is away.
        receive_maximum: QoS 1 messages that the broker may send ahead of their acknowledgement.
    """

    durable: bool = False
    expiry_s: int = 86_400
    receive_maximum: int = 1000


class MqttSession:
    """Connects for ever with jittered back-off; hands messages to the declared subscriptions.

    Args:
        name: stable name of this session at the broker, where the login gives it no secret one.
        login: where and as whom to connect; its file is read anew for each connection.
        options: life of the session at the broker.
        root: root of the line's topics, for metric labels.

    Raises:
        ConfigError: the TLS files cannot be used.
    """

    def __init__(self, name: str, login: Login, options: SessionOptions | None = None, root: str = "pcb") -> None:
        self._login = login
        self._where = f"{login.broker.host}:{login.port}"
        self._options = options or SessionOptions()
        self._root = root
        self._subscriptions: list[Subscription] = []
        self._on_up: list[Callable[[], object]] = []
        self._receipts = Receipts()
        self._complaints = Throttle(interval_s=30)
        self._epoch_lock = threading.Lock()
        self._epoch: object | None = None  # another one for each connection
        self._greeting: int | None = None  # the subscribe that this connection began with
        self._connected = threading.Event()
        self._was_connected = False
        metrics.CONNECTED.labels(name).set_function(self._connected.is_set)
        self._stopping = threading.Event()
        self._turn = Turn()
        self.trouble = ""
        """Why the last attempt to connect failed; empty before the first, and while connected."""
        self._max_packet = MAX_PACKET_BYTES
        self._certificate_ends: float | None = None
        self._network_thread: threading.Thread | None = None
        self._watchdog = threading.Thread(target=self._watch, name="mqtt-watchdog", daemon=True)
        self._tls = login.tls_context() if login.encrypted else None
        self._client = self._make_client(login.client_id or name)

    # What a service uses

    def subscribe(self, subscription: Subscription) -> None:
        """Declare an interest; it holds on this and every later connection."""
        self._subscriptions.append(subscription)
        if self._epoch is not None:
            self._client.subscribe(str(subscription.filter), options=subscription.options)

    def on_up(self, callback: Callable[[], object]) -> None:
        """Call `callback` on the network thread after each connect, once the subscriptions are answered."""
        self._on_up.append(callback)

    def set_will(self, topic: Topic, payload: bytes) -> None:
        """What the broker says when this session is gone, QoS 1 and retained. Before `start`."""
        self._client.will_set(str(topic), payload, qos=1, retain=True)

    def start(self) -> None:
        """Begin to connect, for ever, in the background."""
        self._connect()
        self._watchdog.start()

    def stop(self, flush_s: float = 1.5) -> None:
        """Wait up to `flush_s` for outstanding publishes, then say goodbye; at most 1 s more, whatever hangs."""
        self._stopping.set()
        if self.connected:
            self._receipts.wait_until_empty(flush_s)
        self._client.disconnect()
        goodbye = threading.Thread(target=self._client.loop_stop, name="mqtt-goodbye", daemon=True)
        goodbye.start()
        goodbye.join(_GOODBYE_S)
        if not goodbye.is_alive():
            self._client.release()

    def reconnect(self) -> None:
        """Drop the connection: on the next one the broker delivers again what was not acknowledged. Any thread."""
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            with suppress(OSError):  # gone already
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def connected(self) -> bool:
        """Whether the broker is there, and has answered the subscriptions: from then on the session hears."""
        return self._connected.is_set()

    def wait_connected(self, timeout: float) -> bool:
        return self._connected.wait(timeout)

    def hangs(self, longer_than_s: float) -> bool:
        """Whether its network thread is dead, or has been in one handler for so long. A network that is away is none.

        One that died is started again within 2 s.
        """
        thread = self._network_thread
        return (thread is not None and not thread.is_alive()) or self._turn.busy_s() > longer_than_s

    @property
    def unsent(self) -> int:
        """How many QoS 0 messages wait for the network."""
        return self._receipts.unsent

    @property
    def certificate_ends(self) -> float | None:
        """Until when the broker's certificate is valid, s since the epoch; None without TLS, and before it is known."""
        return self._certificate_ends

    def publish(
        self,
        topic: Topic | str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        on_done: Callable[[bool], object] | None = None,
        response_topic: Topic | None = None,
        correlation: bytes | None = None,
        expiry_s: int | None = None,
    ) -> bool:
        """Hand a message over; False when it was not taken. The last three are properties of MQTT v5.

        QoS 0 is taken only while connected and while the network keeps up; QoS 1 is kept, bounded, through an
        outage. `on_done(accepted)` runs once when the broker has answered (QoS 0: when sent, or lost unsent), mostly
        on the network thread with paho's locks held, sometimes before `publish` returns: it takes no lock that a
        publisher holds, and only enqueues.
        """
        kind = metrics.kind_of(str(topic), self._root)
        refusal = self._refusal(payload, qos)
        if refusal is None:
            given = {
                "ResponseTopic": response_topic and str(response_topic),
                "CorrelationData": correlation,
                "MessageExpiryInterval": expiry_s,
            }
            properties = _properties({name: value for name, value in given.items() if value is not None})
            info = self._client.publish(str(topic), payload, qos, retain, properties)
            refusal = _not_taken(info.rc, qos)
            if refusal is None:
                self._expect(info.mid, qos, kind, on_done)
                return True
        metrics.DROPPED.labels(kind, refusal).inc()
        if self._was_connected or refusal != "not_connected":  # before, that there is no broker says enough
            self.complain(refusal, f"not sent: {kind} ({refusal})")
        return False

    # Inside

    def _connect(self) -> None:
        properties = Properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = self._options.receive_maximum
        properties.MaximumPacketSize = MAX_PACKET_BYTES
        properties.SessionExpiryInterval = self._options.expiry_s if self._options.durable else 0
        self._client.connect_async(
            self._login.broker.host,
            self._login.port,
            keepalive=self._login.broker.keepalive_s,
            clean_start=not self._options.durable,
            properties=properties,
        )
        self._client.loop_start()

    def _expect(self, mid: int, qos: int, kind: str, on_done: Callable[[bool], object] | None) -> None:
        def done(failure: str | None) -> None:
            if failure:
                metrics.PUBLISH_FAILED.labels(kind, failure).inc()
                text = f"the broker refuses our {kind} message: {failure}"
                self.complain(f"{kind} {failure}", text, error=True)
            if on_done is not None:
                self._guard(kind, lambda: on_done(failure is None))

        self._receipts.expect(mid, qos, done)
        metrics.PUBLISHED.labels(kind).inc()
        if qos == 0 and not self.connected:
            self._receipts.forget_unsent()  # the connection went between the hand-over and the line above

    def _refusal(self, payload: bytes, qos: int) -> str | None:
        if len(payload) > self._max_packet - _HEADER_BYTES:
            return "too_large"
        if qos == 0 and not self.connected:
            return "not_connected"
        if qos == 0 and self._receipts.unsent >= _MAX_UNSENT:
            return "slow_network"
        return None

    def _make_client(self, client_id: str) -> "_Client":
        client = _Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.max_queued_messages_set(_MAX_QUEUED)
        client.max_inflight_messages_set(100)
        client.on_pre_connect = self._on_pre_connect
        client.on_socket_open = _be_prompt
        # Without it, paho lets whoever publishes write, read and reconnect while the network thread is dead.
        client.on_socket_register_write = lambda *_: None
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_unreadable = lambda error: self.reject(
            "unknown", MessageRejected("properties", f"its MQTT properties cannot be read: {error}")
        )
        _jitter(client)
        return client

    def _on_pre_connect(self, client: Client, userdata: object) -> None:
        self._network_thread = threading.current_thread()
        self._refresh_login()
        if self._login.username is not None:
            client.username_pw_set(self._login.username, self._login.password)

    def _refresh_login(self) -> None:
        """A password that was changed needs no restart."""
        try:
            login = self._login.again()
            if login.certificate != self._login.certificate and self._tls is not None:
                login.show_certificate(self._tls)
        except (ConfigError, OSError) as error:
            self.complain("login", f"still the login that we had: {error}")
        else:
            self._login = login

    def _on_connect(
        self,
        client: Client,
        userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refused(reason)
            return
        self._receipts.begin()
        with self._epoch_lock:
            self._epoch = object()
        self._max_packet = min(MAX_PACKET_BYTES, getattr(properties, "MaximumPacketSize", MAX_PACKET_BYTES))
        connection = client.socket()
        if isinstance(connection, ssl.SSLSocket):
            self._certificate_ends = ssl.cert_time_to_seconds(str((connection.getpeercert() or {})["notAfter"]))
        log.info("connected to the broker at %s%s", self._where, ", encrypted" if self._tls else "")
        if self._subscriptions:
            # Until the answer, what is published passes us by: whoever says `online` now is deaf.
            _, self._greeting = client.subscribe([(str(each.filter), each.options) for each in self._subscriptions])
        else:
            self._up()

    def _up(self) -> None:
        with self._epoch_lock:
            if self._epoch is None:
                return  # gone already
            self._greeting = None
            self.trouble = ""
            self._connected.set()
            self._was_connected = True
        for callback in self._on_up:
            self._guard("on_up", callback)

    def _refused(self, reason: ReasonCode) -> None:
        metrics.CONNECT_FAILED.labels(str(reason)).inc()
        login = self._login.username or "nobody (no login given)"
        self._not_connected(f"refused {reason}", f"the broker at {self._where} refuses {login}: {reason}", error=True)

    def _on_connect_fail(self, client: Client, userdata: object) -> None:
        why = self._client.failed_in_tls if self._tls is not None else None
        metrics.CONNECT_FAILED.labels("tls" if why else "unreachable").inc()
        if why:
            self._not_connected("tls", f"no TLS with the broker at {self._where}: {why}", error=True)
        else:
            self._not_connected("unreachable", f"no broker at {self._where}")

    def _not_connected(self, kind: str, why: str, *, error: bool = False) -> None:
        self.trouble = why
        self.complain(kind, f"{why}; still trying", error=error)

    def _on_disconnect(
        self,
        client: Client,
        userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not self._mark_down():
            return  # refused, or told twice: the back-off goes on growing
        _jitter(client)
        if not self._stopping.is_set():
            log.warning("lost the broker at %s (%s); reconnecting", self._where, reason)

    def _mark_down(self) -> bool:
        """End the epoch; whether there was a connection."""
        with self._epoch_lock:
            was_connected = self._epoch is not None
            self._epoch = self._greeting = None
            self._connected.clear()
        self._receipts.forget_unsent()
        return was_connected

    def _on_subscribe(
        self,
        client: Client,
        userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        greeting = mid == self._greeting
        names = [str(each.filter) for each in self._subscriptions] if greeting else ["a subscription"]
        for name, reason in zip(names, reasons, strict=False):
            if reason.is_failure:
                log.error("the broker refuses to let us hear %s: %s", name, reason)
        if greeting:
            self._up()

    def _on_publish(
        self, client: Client, userdata: object, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._receipts.settle(mid, str(reason) if reason.is_failure else None)

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        # An exception that left here would kill paho's network thread.
        with self._turn:
            self._guard("message", lambda: self._dispatch(message))

    def _dispatch(self, message: MQTTMessage) -> None:
        try:
            delivery = self._delivery(message)
        except UnicodeDecodeError:
            self.reject("unknown", MessageRejected("topic_not_utf8", "its topic is not UTF-8"))
            self._acknowledge(self._epoch, message.mid, message.qos)
            return
        metrics.RECEIVED.labels(metrics.kind_of(message.topic, self._root)).inc()
        matching = [each for each in self._subscriptions if each.filter.matches(message.topic)]
        for subscription in matching:
            self._guard(str(subscription.filter), lambda each=subscription: each.handler(delivery))  # type: ignore[misc]
        if not any(each.manual_ack for each in matching):
            delivery.ack()

    def _delivery(self, message: MQTTMessage) -> Delivery:
        epoch, mid, qos = self._epoch, message.mid, message.qos
        return Delivery(
            topic=message.topic,
            payload=bytes(message.payload),
            retain=message.retain,
            received_at=now_ns(),
            response_topic=getattr(message.properties, "ResponseTopic", None),
            correlation=getattr(message.properties, "CorrelationData", None),
            ack=lambda: self._acknowledge(epoch, mid, qos),
            expiry_s=getattr(message.properties, "MessageExpiryInterval", None),
        )

    def _acknowledge(self, epoch: object | None, mid: int, qos: int) -> None:
        # After a reconnect the same mid may name another message: a late acknowledgement would lose that one.
        with self._epoch_lock:
            if qos and epoch is not None and epoch is self._epoch:
                self._client.ack(mid, qos)

    def _guard(self, kind: str, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception:
            metrics.HANDLER_ERRORS.labels(kind).inc()
            log.exception("fault in the handler of %s", kind)

    def reject(self, kind: str, rejection: MessageRejected) -> None:
        """Count a payload that breaks the contract, and log it (seldom: a flood of them is one line)."""
        metrics.REJECTED.labels(kind, rejection.reason).inc()
        self.complain(f"{kind} {rejection.reason}", f"rejected a {kind} message: {rejection}")

    def complain(self, kind: str, text: str, *, error: bool = False) -> None:
        """Log `text`, once in a while, and of each `kind` a few different ones; with how many were held back."""
        held = self._complaints.admit(kind, text)
        if held is not None:
            log.log(logging.ERROR if error else logging.WARNING, "%s%s", text, f" ({held} more)" if held else "")

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCHDOG_S):
            thread = self._network_thread
            if thread is not None and not thread.is_alive() and not self._stopping.is_set():
                log.critical("the network thread died; starting it again")
                self._network_thread = None
                self._mark_down()
                self._connect()  # afresh: paho would go on with the packet that killed the thread


class _Client(Client):
    on_unreadable: Callable[[Exception], object]
    """Told of a message that is acknowledged unread."""
    failed_in_tls: str | None = None
    """Why the last attempt to connect failed, if it did so in TLS."""

    def reconnect(self) -> MQTTErrorCode:
        self.failed_in_tls = None
        try:
            return super().reconnect()
        except OSError as error:
            self.failed_in_tls = why_no_tls(error, self.host)
            raise

    def _handle_publish(self) -> MQTTErrorCode:
        """Whoever may write can add properties that the broker passes on and paho cannot read (U+FEFF in a text is
        one). It would leave, be sent the same again, and leave again, for ever."""
        try:
            return super()._handle_publish()
        except (MQTTException, ValueError, LookupError, struct.error) as error:
            self.on_unreadable(error)
            packet, qos = self._in_packet["packet"], self._in_packet["command"] >> 1 & 3
            after_topic = 2 + int.from_bytes(packet[:2], "big")
            mid = int.from_bytes(packet[after_topic : after_topic + 2], "big")
            return self._send_puback(mid) if qos == 1 else MQTTErrorCode.MQTT_ERR_SUCCESS

    def release(self) -> None:
        """Close the sockets that wake the network thread: paho leaves them to the garbage collector."""
        self._reset_sockets(sockpair_only=True)


def _properties(given: dict[str, object]) -> Properties | None:
    """None for none: making the object takes longer than the rest of a publish."""
    if not given:
        return None
    properties = Properties(PacketTypes.PUBLISH)
    for name, value in given.items():
        setattr(properties, name, value)
    return properties


def _not_taken(rc: MQTTErrorCode, qos: int) -> str | None:
    """Why paho did not take a message; at QoS 1 it keeps it but when its queue is full."""
    if rc == MQTTErrorCode.MQTT_ERR_SUCCESS or (qos and rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE):
        return None
    return "queue_full" if qos else "not_connected"


def _jitter(client: Client) -> None:
    # paho only sleeps for these numbers; fractions are fine and keep a fleet from reconnecting in step.
    client.reconnect_delay_set(random.uniform(*_BACKOFF_S), random.uniform(*_BACKOFF_MAX_S))  # type: ignore[arg-type]


def _be_prompt(client: Client, userdata: object, sock: object) -> None:
    """Nagle's algorithm turns a small QoS 1 round trip of 0.2 ms into 88 ms. And where the network is slow, the kernel
    takes megabytes: frames that wait there are old when they go out, so they wait here, where they are counted."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MOST_IN_KERNEL)
