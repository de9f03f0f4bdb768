"""paho's client, with what it lacks: frames that go out at once, and messages that it cannot read."""

import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

from paho.mqtt import MQTTException
from paho.mqtt.client import PUBLISH, Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from pcb_bus.mqtt.login import why_no_tls

_SUCCESS = MQTTErrorCode.MQTT_ERR_SUCCESS


class PromptClient(Client):
    """An MQTT v5 client. What has QoS 0 is sent by the thread that publishes it, where the network takes it at once.

    To wake the network thread for it costs as much as all the rest of a publish, and the two threads then want the
    interpreter at the same moment. What the network does not take, and all that is encrypted (OpenSSL lets no two
    threads at one connection), goes the usual way.
    """

    on_unreadable: Callable[[Exception], object]
    """Told of a message that is acknowledged unread."""
    on_sent: Callable[[int], object]
    """Told of the id of each message that the publisher's own thread has sent; `on_publish` is told of all others."""
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

    def _packet_queue(
        self, command: int, packet: bytes | bytearray, mid: int, qos: int, info: MQTTMessageInfo | None = None
    ) -> MQTTErrorCode:
        if command & 0xF0 != PUBLISH or qos or not (sent := self._send_now(packet, mid)):
            return super()._packet_queue(command, packet, mid, qos, info)
        if sent == len(packet):
            self.on_sent(mid)
        elif self._sockpairW is not None:
            with suppress(BlockingIOError):  # it is about to wake anyhow
                self._sockpairW.send(b"0")
        return _SUCCESS

    def _send_now(self, packet: bytes | bytearray, mid: int) -> int:
        """How many bytes of it the network takes at once; the rest, if there is any, goes before all that waits."""
        if isinstance(self._sock, ssl.SSLSocket) or not self._writing.acquire(blocking=False):
            return 0
        try:
            if self._out_packet or not self.is_connected():
                return 0
            sent = self._sock_send(packet)
            if 0 < sent < len(packet):
                self._out_packet.appendleft(
                    {
                        "command": PUBLISH,
                        "mid": mid,
                        "qos": 0,
                        "pos": sent,
                        "to_process": len(packet) - sent,
                        "packet": packet,
                        "info": MQTTMessageInfo(mid),
                    }
                )
            return sent
        except (OSError, ValueError, AttributeError):
            return 0  # the network thread will find the same, and see to it
        finally:
            self._writing.release()

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
