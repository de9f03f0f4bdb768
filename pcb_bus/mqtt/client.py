"""paho's client, with what it lacks: frames that go out at once, and messages that it cannot read."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from paho.mqtt import MQTTException
from paho.mqtt.client import PUBLISH, Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from pcb_bus.mqtt.login import why_no_tls

_SUCCESS = MQTTErrorCode.MQTT_ERR_SUCCESS


class PromptClient(Client):
    """An MQTT v5 client with a short way for frames: the thread that publishes one sends it.

    To wake the network thread for it costs as much as all the rest of a publish, and the two threads then want the
    interpreter at the same moment. What is encrypted has no short way: OpenSSL lets no two threads at one connection.
    """

    on_unreadable: Callable[[Exception], object]
    """Told of a message that is acknowledged unread."""
    failed_in_tls: str | None = None
    """Why the last attempt to connect failed, if it did so in TLS."""

    def __init__(self, client_id: str) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True)
        self._writing = threading.Lock()

    def reconnect(self) -> MQTTErrorCode:
        self.failed_in_tls = None
        try:
            with self._writing:  # nothing goes out before its greeting
                return super().reconnect()
        except OSError as error:
            self.failed_in_tls = why_no_tls(error, self.host)
            raise

    def release(self) -> None:
        """Close the sockets that wake the network thread: paho leaves them to the garbage collector."""
        self._reset_sockets(sockpair_only=True)

    def send_now(self, topic: str, payload: bytes, *, retain: bool) -> int | None:
        """Send a message of QoS 0, without properties, if the network takes it at once. Any thread.

        Returns:
            0 if it is sent; its id where the network took a part: the rest goes before all that waits, and `on_publish`
            is told; None where it took nothing, so that it has to go the usual way.
        """
        connection = cast(object, self._sock)
        if not isinstance(connection, socket.socket) or isinstance(connection, ssl.SSLSocket):
            return None
        if not self._writing.acquire(blocking=False):
            return None
        try:
            if self._out_packet or not self.is_connected():
                return None
            head = _head(topic, len(payload), retain=retain)
            sent = connection.sendmsg([head, payload])
            if sent == len(head) + len(payload):
                return 0
            mid = self._mid_generate()
            self._out_packet.appendleft(
                {
                    "command": PUBLISH,
                    "mid": mid,
                    "qos": 0,
                    "pos": sent,
                    "to_process": len(head) + len(payload) - sent,
                    "packet": head + payload,
                    "info": MQTTMessageInfo(mid),
                }
            )
        except (OSError, ValueError):
            return None  # the network thread will find the same, and see to it
        finally:
            self._writing.release()
        if self._sockpairW is not None:
            with suppress(BlockingIOError):  # it is about to wake anyhow
                self._sockpairW.send(b"0")
        return mid

    def _packet_write(self) -> MQTTErrorCode:
        with self._writing:
            return super()._packet_write()

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
            return self._send_puback(mid) if qos == 1 else _SUCCESS


def _head(topic: str, payload_bytes: int, *, retain: bool) -> bytes:
    """Of a PUBLISH of QoS 0 without properties, all that comes before its payload (MQTT v5, section 3.3)."""
    name = topic.encode()
    variable = len(name).to_bytes(2) + name + b"\0"
    left, length = len(variable) + payload_bytes, bytearray()
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([PUBLISH | retain, *length, left]) + variable
