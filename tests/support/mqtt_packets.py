"""MQTT packets byte by byte, right ones and wrong ones, and what carries them: TCP, TLS, websockets as browsers do it.

Nothing here checks what it is given: a text may be bytes that are no UTF-8, a length may lie.
"""

import socket
import ssl
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Self

Text = str | bytes
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE = range(1, 9)
SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(9, 16)
V31, V311, V5 = 3, 4, 5
BINARY, CLOSE, PING = 0x2, 0x8, 0x9
"""Opcodes of websocket frames, RFC 6455 section 5.2."""
_CLEAN, _WILL, _WILL_RETAIN, _PASSWORD, _USERNAME = 0x02, 0x04, 0x20, 0x40, 0x80
_FLAGS = {PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_CHUNK = 65_536


def u16(number: int) -> bytes:
    return struct.pack(">H", number)


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


def text(value: Text, length: int | None = None) -> bytes:
    """A text, or binary data, after its length (MQTT 5.0, section 1.5.4)."""
    data = value.encode() if isinstance(value, str) else value
    return u16(len(data) if length is None else length) + data


def varint(number: int, least: int = 1) -> bytes:
    """A variable byte integer; with `least` in more bytes than it needs, or than there may be."""
    digits = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        digits.append(digit | 0x80)
        if not number and len(digits) >= least:
            digits[-1] &= 0x7F
            return bytes(digits)


def packet(kind: int, body: bytes = b"", flags: int | None = None, length: bytes | None = None) -> bytes:
    """A control packet; `length` stands in place of its true remaining length."""
    first = kind << 4 | (_FLAGS.get(kind, 0) if flags is None else flags)
    return bytes((first,)) + (varint(len(body)) if length is None else length) + body


def properties(encoded: bytes = b"", version: int = V5) -> bytes:
    """Properties, which are there in version 5 alone, after their length."""
    return varint(len(encoded)) + encoded if version == V5 else b""


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker is to say when the connection is lost. `properties` are encoded, without their length."""

    topic: Text
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    properties: bytes = b""


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT packet. `flip`: bits of the connect flags that are to be wrong."""

    client_id: Text = ""
    username: Text | None = None
    password: Text | None = None
    version: int = V5
    name: Text | None = None
    will: Will | None = None
    clean: bool = True
    keepalive: int = 60
    properties: bytes = b""
    flip: int = 0

    @property
    def body(self) -> bytes:
        name = ("MQIsdp" if self.version == V31 else "MQTT") if self.name is None else self.name
        head = text(name) + bytes((self.version, self._flags ^ self.flip)) + u16(self.keepalive)
        return head + properties(self.properties, self.version) + self._payload

    def encode(self) -> bytes:
        return packet(CONNECT, self.body)

    @property
    def _flags(self) -> int:
        flags = _CLEAN if self.clean else 0
        if self.will:
            flags |= _WILL | self.will.qos << 3 | (_WILL_RETAIN if self.will.retain else 0)
        flags |= _PASSWORD if self.password is not None else 0
        return flags | (_USERNAME if self.username is not None else 0)

    @property
    def _payload(self) -> bytes:
        parts = [text(self.client_id)]
        if self.will:
            parts += [properties(self.will.properties, self.version), text(self.will.topic), text(self.will.payload)]
        parts += [text(each) for each in (self.username, self.password) if each is not None]
        return b"".join(parts)


def publish(
    topic: Text,
    payload: bytes = b"",
    qos: int = 0,
    *,
    packet_id: int = 1,
    version: int = V5,
    props: bytes = b"",
    flags: int = 0,
) -> bytes:
    """A PUBLISH; `flags` are DUP (8) and RETAIN (1)."""
    number = u16(packet_id) if qos else b""
    return packet(PUBLISH, text(topic) + number + properties(props, version) + payload, qos << 1 | flags)


def subscribe(
    filters: Iterable[tuple[Text, int]], *, packet_id: int = 1, version: int = V5, props: bytes = b""
) -> bytes:
    """A SUBSCRIBE of filters with their options."""
    wanted = b"".join(text(name) + bytes((options,)) for name, options in filters)
    return packet(SUBSCRIBE, u16(packet_id) + properties(props, version) + wanted)


def unsubscribe(filters: Iterable[Text], *, packet_id: int = 1, version: int = V5, props: bytes = b"") -> bytes:
    return packet(UNSUBSCRIBE, u16(packet_id) + properties(props, version) + b"".join(map(text, filters)))


@dataclass(frozen=True, slots=True)
class Answer:
    """A control packet that came from the broker."""

    kind: int
    flags: int
    body: bytes

    @property
    def reason(self) -> int:
        """The reason code of a CONNACK or an acknowledgement of one message; 0 is good."""
        place = 1 if self.kind == CONNACK else 2
        return self.body[place] if len(self.body) > place else 0


def split(data: bytes) -> tuple[list[Answer], bytes]:
    """The whole packets at the front of `data`, and what is left."""
    found, at = [], 0
    while (size := _size(data, at)) is not None and at + sum(size) <= len(data):
        header, length = size
        found.append(Answer(data[at] >> 4, data[at] & 0x0F, data[at + header : at + header + length]))
        at += header + length
    return found, data[at:]


def _size(data: bytes, at: int) -> tuple[int, int] | None:
    """Bytes of the fixed header and of the rest; None of a header that is not there yet."""
    length = 0
    for place in range(4):
        if at + 1 + place >= len(data):
            return None
        digit = data[at + 1 + place]
        length |= (digit & 0x7F) << 7 * place
        if not digit & 0x80:
            return 2 + place, length
    return None


def upgrade(host: str = "localhost", path: str = "/mqtt", protocol: str = "mqtt", *, more: str = "") -> bytes:
    """A browser's request for a websocket; `more` are lines of their own, each with its line end."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {_KEY}\r\nSec-WebSocket-Protocol: {protocol}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    ).encode()


def frame(
    payload: bytes = b"",
    opcode: int = BINARY,
    mask: bytes | None = b"\x37\xfa\x21\x3d",
    *,
    head: int = 0x80,
    length: int | None = None,
) -> bytes:
    """A websocket frame of a client. `head`: FIN (0x80) and the reserved bits; `length`: one that lies."""
    size = len(payload) if length is None else length
    masked = 0x80 if mask else 0
    if size < 126:
        header = bytes((head | opcode, masked | size))
    elif size < 65_536:
        header = bytes((head | opcode, masked | 126)) + u16(size)
    else:
        header = bytes((head | opcode, masked | 127)) + struct.pack(">Q", size)
    return header + ((mask + _masked(payload, mask)) if mask else payload)


def _masked(payload: bytes, mask: bytes) -> bytes:
    stream = (mask * (len(payload) // len(mask) + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def unframe(data: bytes) -> bytes:
    """What the binary frames of a server carry, one after the other."""
    carried, at = [], 0
    while at + 2 <= len(data):
        opcode, size, header = data[at] & 0x0F, data[at + 1] & 0x7F, 2
        if size >= 126:
            header = 4 if size == 126 else 10
            size = int.from_bytes(data[at + 2 : at + header], "big")
        if opcode in {0, BINARY}:
            carried.append(data[at + header : at + header + size])
        at += header + size
    return b"".join(carried)


class Layer(IntEnum):
    """How much is set up before the first byte goes out."""

    TCP = 0
    STREAM = 1
    """TLS, where the listener has it."""
    WEBSOCKET = 2
    """And the upgrade, where it speaks websockets: bytes go out as they are, frames or not."""
    MQTT = 3
    """And frames around what goes out."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a broker listens. `kind` is `mqtt` or `websockets`; with `tls` it is wrapped in that."""

    kind: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @property
    def websockets(self) -> bool:
        return self.kind == "websockets"

    def __str__(self) -> str:
        return f"{self.kind}{' over TLS' if self.tls else ''} at {self.host}:{self.port}"


class Wire:
    """A connection to a listener, with as much set up as `layer` says.

    Raises:
        OSError: it is refused, the certificate is not what the context wants, or the broker is silent for `timeout` s.
    """

    def __init__(self, listener: Listener, layer: Layer = Layer.MQTT, timeout: float = 5.0) -> None:
        self._framed = listener.websockets and layer is Layer.MQTT
        self._unframed = listener.websockets and layer >= Layer.WEBSOCKET
        self._received = b""
        self._socket = socket.create_connection((listener.host, listener.port), timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if listener.tls and layer >= Layer.STREAM:
                self._socket = listener.tls.wrap_socket(self._socket, server_hostname=listener.host)
            if self._unframed:
                self._upgrade(f"{listener.host}:{listener.port}")
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Raises OSError: the broker has closed the connection."""
        self._socket.sendall(frame(data) if self._framed else data)

    def answers(self, count: int) -> Sequence[Answer]:
        """Wait for so many packets; fewer, when the broker ends the connection before.

        Raises:
            TimeoutError: they do not come.
        """
        while len(found := self._packets()) < count and self._receive():
            pass
        return found

    def stream(self) -> Iterator[Answer]:
        """Packets as they come, until the broker ends the connection. Not over websockets."""
        while True:
            found, self._received = split(self._received)
            yield from found
            if not self._receive():
                return

    def finish(self) -> Sequence[Answer]:
        """Say that no more will come, wait until the broker has ended the connection, and give all that it answered.

        Raises:
            TimeoutError: it does not end it.
        """
        with suppress(OSError):
            # The plain one: that of ssl would forget the keys, and with them what is still to be read.
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
        while self._receive():
            pass
        return self._packets()

    def reset(self) -> None:
        """Close it as a crash does: what was not read is lost, at both ends."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._socket.close()

    @property
    def received(self) -> bytes:
        """What came so far after the upgrade, as it came."""
        return self._received

    def _packets(self) -> list[Answer]:
        return split(unframe(self._received) if self._unframed else self._received)[0]

    def _receive(self) -> bool:
        """Whether something came; False at the end, be it a hard one."""
        try:
            data = self._socket.recv(_CHUNK)
        except TimeoutError:
            raise
        except OSError:
            return False
        self._received += data
        return bool(data)

    def _upgrade(self, host: str) -> None:
        self.send_raw(upgrade(host))
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                raise ConnectionRefusedError("no websocket")
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise ConnectionRefusedError(head.decode("latin-1"))

    def send_raw(self, data: bytes) -> None:
        """Without a frame around it."""
        self._socket.sendall(data)
