"""What a stranger, a thief or a guest of bad intent may send: one case of some kind from a number and a seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from support.mqtt_packets import (
    AUTH,
    BINARY,
    CLOSE,
    DISCONNECT,
    PING,
    PINGREQ,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    V5,
    V31,
    V311,
    Connect,
    Layer,
    Text,
    Will,
    frame,
    packet,
    publish,
    subscribe,
    text,
    u16,
    u32,
    unsubscribe,
    upgrade,
    varint,
)

from fuzz.payloads import hostile_payload
from pcb_bus.contract.topics import Topics

FORBIDDEN = b"forbidden"
"""Begins what is sent where nobody, or not this guest, may write: it must never be heard there."""
GUESTS = ("viewer", "trigger", "operator")
GOODBYE = packet(DISCONNECT)
_BIG = 4 * 1024 * 1024  # the broker's max_packet_size
_OWN_SESSIONS = 10  # durable sessions that a guest leaves behind, so that their number is bounded
_VERSIONS = (V5, V5, V311, V31)
_BAD_TEXTS = (
    b"\0",
    b"a\0b",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xff\xfe",
    b"\x80",
    b"\xe3\x81",
    b"\xef\xbb\xbfx",
    b"\xef\xbf\xbf",
    b"\x01\x7f",
    b"\xc2\x85",
)
_BAD_TOPICS: Sequence[Text] = (
    "",
    "#",
    "+",
    "pcb/+",
    "pcb/#",
    "pcb/trigger/#",
    "$SYS/broker/uptime",
    "$share/fuzz/pcb/trigger",
    "$CONTROL/dynamic-security/v1",
    "/" * 199,
    "/" * 201,
    "a/" * 32_000,
    "x" * 65_535,
    "pcb//trigger",
    "/pcb/trigger",
    *_BAD_TEXTS,
)
_BAD_FILTERS: Sequence[Text] = (
    *_BAD_TOPICS,
    "#/pcb",
    "pcb/#/verdict",
    "pcb+",
    "+pcb/#",
    "pcb/##",
    "$share",
    "$share/",
    "$share//pcb/#",
    "$share/a+/pcb/#",
    "$share/fuzz/",
    "+/" * 199,
    "+/" * 32_000,
)
_MANY_FILTERS = subscribe([(f"pcb/config/{number}", 1) for number in range(2_000)])
_U8, _U16, _U32, _VARINT, _TEXT, _BINARY, _PAIR = range(7)
_PROPERTIES = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), _U8),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), _U16),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), _U32),
    0x0B: _VARINT,
    **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), _TEXT),
    **dict.fromkeys((0x09, 0x16), _BINARY),
    0x26: _PAIR,
}
"""How the value of each property is written (MQTT 5.0, section 2.2.2.2)."""
_ALIAS, _SUBSCRIPTION_ID, _EXPIRY, _RESPONSE, _CORRELATION, _USER = 0x23, 0x0B, 0x11, 0x08, 0x09, 0x26


@dataclass(frozen=True, slots=True)
class Target:
    """What a stranger may know of the line, and the logins of its guests."""

    passwords: Mapping[str, str]
    nodes: Sequence[str]
    topics: Topics = Topics()

    @property
    def node_ids(self) -> Sequence[str]:
        """Client ids under which the broker keeps what waits for a node."""
        return [f"{self.topics.root}-{node}" for node in self.nodes]

    def writable(self, guest: str) -> Sequence[str]:
        """Topics on which this guest may write."""
        if guest == "operator":
            return [str(self.topics.command(node)) for node in (*self.nodes, "nobody")]
        return [str(self.topics.trigger), str(self.topics.resend_trigger)] if guest == "trigger" else []

    def may_be_heard(self, topic: str, payload: bytes) -> bool:
        """Whether somebody who sends this has the right to."""
        if not payload.startswith(FORBIDDEN):
            return True
        guest = b"".join(payload.split()[1:2]).decode()
        return any(topic in self.writable(each) for each in ([guest] if guest in GUESTS else GUESTS))

    @property
    def all_topics(self) -> Sequence[str]:
        """One of each kind."""
        topics = self.topics
        each = (
            topics.verdict,
            topics.recorded,
            topics.actuation,
            topics.unreported,
            topics.config,
            topics.trigger,
            topics.clock,
        )
        by_side = (topics.frame, topics.preview, topics.serial, topics.evidence, topics.resend_evidence)
        sides = (kind("left") for kind in by_side)
        resent = (topics.resend_verdict, topics.resend_actuation, topics.resend_trigger)
        by_node = (
            kind(node) for node in self.nodes for kind in (topics.status, topics.event, topics.command, topics.reply)
        )
        return [str(topic) for topic in (*each, *sides, *resent, *by_node)]


@dataclass(frozen=True, slots=True)
class Case:
    """What goes out over one connection.

    Args:
        parts: one after the other; a slow sender takes its time between them.
        refused: nobody may be let in.
        denied: no message of it may be taken.
        reset: it ends as a crash does.
    """

    parts: Sequence[bytes]
    layer: Layer = Layer.MQTT
    refused: bool = False
    denied: bool = False
    reset: bool = False
    slow: bool = False
    kind: str = ""


Kind = Callable[[Random, Target], Case]


def make_case(seed: object, number: int, target: Target) -> Case:
    """The case of this number: always the same one."""
    rng = Random(f"{seed}/{number}")
    (kind,) = rng.choices(list(_KINDS), list(_KINDS.values()))
    case = kind(rng, target)
    return replace(case, kind=kind.__name__.strip("_"), reset=case.reset or rng.random() < 0.02)


# Parts of packets


def _forbidden_to(guest: str) -> bytes:
    return FORBIDDEN + b" " + guest.encode()


def _login(rng: Random, target: Target, guest: str | None = None, version: int | None = None) -> Connect:
    """A guest that logs in as it should."""
    guest = guest or rng.choice(GUESTS)
    version = version or rng.choice(_VERSIONS)
    return Connect(f"fuzz-{rng.randrange(10**6)}", guest, target.passwords[guest], version)


def _session(connect: Connect, *packets: bytes) -> Case:
    """Those packets after a good beginning, and before a good end."""
    return Case((connect.encode() + b"".join(packets) + GOODBYE,))


def _value(rng: Random, identifier: int) -> bytes:
    """A value of this property, at an edge."""
    how = _PROPERTIES.get(identifier, rng.randrange(7))
    if how == _U8:
        return bytes((rng.choice((0, 1, 2, 255)),))
    if how == _U16:
        return u16(rng.choice((0, 1, 10, 11, 65_535)))
    if how == _U32:
        return u32(rng.choice((0, 1, 2**31, 2**32 - 1)))
    if how == _VARINT:
        return varint(rng.choice((0, 1, 268_435_455)), rng.choice((1, 4, 5)))
    if how == _PAIR:
        return text(_any_text(rng)) + text(_any_text(rng))
    return text(_any_text(rng), rng.choice((None, None, None, 65_535)))


def _any_text(rng: Random) -> Text:
    return rng.choice((*_BAD_TEXTS, *_BAD_TOPICS[:14], "x", "pcb/reply/operator", "pcb/verdict", ""))


def _props(rng: Random) -> bytes:
    """Properties that do not go together, twice, unknown, or without end."""
    known = list(_PROPERTIES)
    chosen = [rng.choice((rng.choice(known), rng.randrange(256))) for _ in range(rng.randint(1, 4))]
    encoded = b"".join(bytes((each,)) + _value(rng, each) for each in chosen)
    return rng.choice((encoded, encoded, encoded * 2, encoded[:-1], encoded + b"\xff" * 5, bytes((_USER,)) * 3))


def _lying_properties(rng: Random, kind: int, head: bytes, rest: bytes = b"") -> bytes:
    """A packet whose properties are shorter or longer than they say."""
    props = _props(rng)
    length = rng.choice((varint(0), varint(len(props) + rng.choice((-1, 1, 1_000))), b"\xff\xff\xff\xff\x7f", b"\xff"))
    return packet(kind, head + length + props + rest)


def _any_packet(rng: Random, target: Target) -> bytes:
    """A packet that is in order, of any kind that a client may send."""
    version = rng.choice(_VERSIONS)
    topic = rng.choice(target.all_topics)
    wanted = [(topic, rng.randrange(3))]
    return rng.choice(
        (
            _login(rng, target).encode(),
            publish(topic, FORBIDDEN, rng.randrange(3), version=version),
            subscribe(wanted, version=version),
            unsubscribe([topic], version=version),
            packet(rng.randint(PUBREL - 2, PUBREL + 1), u16(rng.choice((1, 7, 65_535)))),
            packet(PINGREQ),
            packet(AUTH, b"\x18\0"),
            GOODBYE,
        )
    )


# Without a login


def _random_bytes(rng: Random, target: Target) -> Case:
    layer = rng.choice(list(Layer))
    return Case((rng.randbytes(rng.choice((1, 2, 5, 100, 5_000))),), layer, refused=True)


def _fixed_headers(rng: Random, target: Target) -> Case:
    wrong = packet(rng.randrange(16), rng.randbytes(rng.choice((0, 1, 2, 10, 200))), rng.randrange(16))
    return Case((wrong * rng.choice((1, 1, 20)),), refused=True)


def _remaining_lengths(rng: Random, target: Target) -> Case:
    body = rng.choice((Connect().body, b"", u16(1), text("pcb/trigger") + b"\0x"))
    length = rng.choice(
        (
            b"\xff\xff\xff\xff\x7f",
            b"\xff\xff\xff\xff\xff\xff",
            b"\xff\xff\xff\x7f",
            b"\x80\x80\x80\x00",
            b"\x80",
            varint(0),
            varint(len(body), 4),
            varint(max(0, len(body) - 1)),
            varint(len(body) + rng.choice((1, 1_000, _BIG))),
        )
    )
    wrong = packet(rng.randint(1, 15), body, rng.choice((0, 2)), length)
    return Case((wrong,), refused=True)


def _truncated(rng: Random, target: Target) -> Case:
    whole = _any_packet(rng, target)
    begun = rng.choice((b"", _login(rng, target).encode()))
    return Case((begun + whole[: rng.randrange(1, max(2, len(whole)))],))


def _protocols(rng: Random, target: Target) -> Case:
    name: Text = rng.choice(("", "MQIsdp", "MQTT", "mqtt", "MQTT\0", "HTTP", b"\xff\xff\xff\xff", "M" * 10_000))
    version = rng.choice((0, 1, 2, 3, 4, 5, 6, 0x83, 0x84, 0x85, 255))
    wrong = replace(_login(rng, target), name=name, version=version)
    return Case((wrong.encode() + subscribe([("#", 1)], version=V311) + GOODBYE,))


def _connect_flags(rng: Random, target: Target) -> Case:
    wrong = replace(_login(rng, target), flip=rng.randrange(1, 256), keepalive=rng.choice((0, 1, 65_535)))
    return Case((wrong.encode() + GOODBYE,))


def _wrong_logins(rng: Random, target: Target) -> Case:
    guest = rng.choice(GUESTS)
    names: Sequence[Text] = (guest, *target.nodes, "admin", "root", "", f"{guest}\n", "../viewer", "x" * 65_535)
    secrets: Sequence[Text | None] = (None, "", "x" * 65_535, rng.randbytes(20), *_BAD_TEXTS, "password")
    name = rng.choice((*names, *_BAD_TEXTS))
    wrong = Connect("", name, rng.choice(secrets), rng.choice(_VERSIONS))
    if rng.random() < 0.2:
        wrong = replace(wrong, username=None, password=rng.choice((None, target.passwords[guest])))
    elif rng.random() < 0.2:  # a password that is right for another
        other = rng.choice([each for each in (*target.nodes, *GUESTS) if each != guest])
        wrong = replace(wrong, username=other, password=target.passwords[guest])
    return Case((wrong.encode() + publish("pcb/verdict", FORBIDDEN),), refused=True)


def _thefts(rng: Random, target: Target) -> Case:
    """The client id of a node, from somebody else: what waits for that node would be lost, or read.

    A guest may be let in, but it must not be taken for the node, which stays connected.
    """
    thief = rng.choice((Connect(), Connect("", "recorder", "wrong"), _login(rng, target)))
    clean = rng.random() < 0.5
    stolen = replace(thief, client_id=rng.choice(target.node_ids), clean=clean)
    stranger = thief.username not in GUESTS
    return Case((stolen.encode() + subscribe([("#", 1)], version=stolen.version) + GOODBYE,), refused=stranger)


def _before_connect(rng: Random, target: Target) -> Case:
    first = b"\x10"
    while first.startswith(b"\x10"):
        first = _any_packet(rng, target)
    return Case((first + _any_packet(rng, target),), refused=True)


def _authentication(rng: Random, target: Target) -> Case:
    method = b"\x15" + text(rng.choice(("SCRAM-SHA-1", "", "x" * 60_000)))
    data = b"\x16" + text(rng.randbytes(rng.choice((0, 10, 60_000))))
    connect = replace(_login(rng, target, version=V5), properties=rng.choice((method, data, method + data, data * 2)))
    auth = packet(AUTH, bytes((rng.choice((0, 0x18, 0x19, 255)),)) + varint(len(method)) + method)
    return Case((connect.encode() + auth * rng.choice((0, 1, 5)) + GOODBYE,))


# With the login of a guest


def _second_connects(rng: Random, target: Target) -> Case:
    return _session(_login(rng, target), _login(rng, target).encode(), publish("pcb/verdict", FORBIDDEN))


def _wills(rng: Random, target: Target) -> Case:
    guest = rng.choice(GUESTS)
    denied = sorted(set(target.all_topics) - set(target.writable(guest)))
    topic: Text = rng.choice((*_BAD_TOPICS, *denied))
    payload = _forbidden_to(guest) + rng.choice((b"", b" " + b"x" * 60_000))
    will = Will(topic, payload, rng.randrange(4), rng.random() < 0.5, rng.choice((b"", _props(rng))))
    connect = replace(_login(rng, target, guest), will=will, flip=rng.choice((0, 0, 0, 4, 32)))
    return Case((connect.encode(),))  # and no goodbye: the broker is to say the will


def _connect_properties(rng: Random, target: Target) -> Case:
    connect = _login(rng, target, version=V5)
    if rng.random() < 0.3:
        body = connect.body
        at = body.index(u16(60)) + 2
        return Case((_lying_properties(rng, 1, body[:at], body[at + 1 :]) + GOODBYE,))
    many = (bytes((_USER,)) + text("k") + text("v")) * rng.choice((10, 1_000, 20_000))
    return _session(replace(connect, properties=rng.choice((_props(rng), _props(rng), _props(rng), many))))


def _publish_properties(rng: Random, target: Target) -> Case:
    guest = rng.choice(("trigger", "operator"))
    topic = rng.choice(target.writable(guest))
    if rng.random() < 0.3:
        return _session(_login(rng, target, guest, V5), _lying_properties(rng, PUBLISH, text(topic), b"x"))
    chosen = rng.choice(
        (
            bytes((_ALIAS,)) + u16(rng.choice((0, 11, 65_535))),
            bytes((_SUBSCRIPTION_ID,)) + varint(rng.choice((0, 1, 268_435_455))),
            bytes((_RESPONSE,)) + text(rng.choice(_BAD_TOPICS)),
            bytes((_CORRELATION,)) + text(b"\0" * rng.choice((0, 65_535))),
            bytes((_EXPIRY,)) + u32(rng.choice((0, 2**32 - 1))),
            _props(rng),
        )
    )
    name: Text = rng.choice((topic, topic, ""))
    return _session(_login(rng, target, guest, V5), publish(name, b'{"v": 1}', rng.randrange(2), props=chosen))


def _aliases(rng: Random, target: Target) -> Case:
    """Names that are set, changed and used before they are there."""
    topic = rng.choice(target.writable("trigger"))
    names: Sequence[Text] = (topic, topic, "", "pcb/verdict", "pcb/+")
    said = [
        publish(rng.choice(names), FORBIDDEN + b"?", 0, props=bytes((_ALIAS,)) + u16(rng.randint(0, 11)))
        for _ in range(rng.randint(1, 30))
    ]
    return _session(_login(rng, target, "trigger", V5), *said)


def _bad_topics(rng: Random, target: Target) -> Case:
    connect = _login(rng, target)
    wrong = publish(
        rng.choice(_BAD_TOPICS),
        FORBIDDEN,
        rng.randrange(4),
        packet_id=rng.choice((0, 1, 65_535)),
        version=connect.version,
        flags=rng.choice((0, 1, 8, 9)),
    )
    return _session(connect, wrong)


def _bad_filters(rng: Random, target: Target) -> Case:
    connect = _login(rng, target)
    number, version = rng.choice((0, 1, 65_535)), connect.version
    props = rng.choice((b"", bytes((_SUBSCRIPTION_ID,)) + varint(rng.choice((0, 1))), _props(rng)))
    filters = [
        (rng.choice((*_BAD_FILTERS, "pcb/#", "pcb/verdict")), rng.choice((0, 1, 2, 3, 0x30, 0xFF))) for _ in "12"
    ]
    return _session(
        connect,
        rng.choice(
            (
                subscribe(filters[: rng.randrange(3)], packet_id=number, version=version, props=props),
                _MANY_FILTERS if version == V5 else b"",
                unsubscribe([name for name, _ in filters], packet_id=number, version=version),
                unsubscribe([], packet_id=number, version=version, props=props),
                _lying_properties(rng, SUBSCRIBE, u16(1), text("pcb/#") + b"\1"),
                packet(SUBSCRIBE, u16(1) + text("pcb/#", 200) + b"\1", rng.randrange(16)),
            )
        ),
    )


def _acknowledgements(rng: Random, target: Target) -> Case:
    """Of what was never sent, and of both halves of QoS 2 in any order."""
    connect, steps = _login(rng, target, "trigger"), []
    for _ in range(rng.randint(1, 60)):
        number = rng.choice((0, 1, 1, 2, 65_535))
        said = publish("pcb/trigger", b"{}", 2, packet_id=number, version=connect.version, flags=rng.choice((0, 8)))
        answer = packet(rng.randint(PUBREC - 1, PUBREC + 2), u16(number), rng.choice((2, 2, 0, 15)))
        reason = packet(PUBREC, u16(number) + rng.choice((b"\0", b"\x80", b"\x92\0", b"\xff" + _props(rng))), 2)
        steps.append(rng.choice((said, answer, reason)))
    return _session(connect, *steps)


def _utf8(rng: Random, target: Target) -> Case:
    bad = rng.choice(_BAD_TEXTS)
    connect = _login(rng, target, version=V5)
    if rng.random() < 0.5:
        of_name, of_login = replace(connect, name=bad), replace(connect, username=bad)
        return _session(
            rng.choice((of_name, of_login, replace(connect, client_id=bad), replace(connect, password=bad)))
        )
    wrong = (
        publish(b"pcb/" + bad, FORBIDDEN, 1),
        subscribe([(b"pcb/" + bad, 1)]),
        publish("pcb/trigger", FORBIDDEN, props=b"\x03" + text(bad)),
        publish("pcb/trigger", FORBIDDEN, props=bytes((_USER,)) + text(bad) + text(bad)),
        publish("pcb/trigger", bad, props=b"\x01\x01"),  # it says that its payload is UTF-8
    )
    return _session(connect, rng.choice(wrong))


def _sessions(rng: Random, target: Target) -> Case:
    """Durable ones that nobody comes back for, and lives of any length."""
    expiry = b"\x11" + u32(rng.choice((0, 1, 60, 2**32 - 1)))
    connect = replace(_login(rng, target, "viewer"), clean=rng.random() < 0.3, keepalive=rng.choice((0, 1, 65_535)))
    connect = replace(connect, client_id=f"fuzz-durable-{rng.randrange(_OWN_SESSIONS)}", properties=expiry)
    wanted = subscribe([("pcb/config", rng.randrange(3))], version=connect.version)
    ends = (packet(DISCONNECT, b"\x04"), packet(DISCONNECT, b"\0\x05" + expiry), packet(DISCONNECT, b"\x80"), b"")
    return Case((connect.encode() + wanted + rng.choice((*ends, packet(DISCONNECT, b"", 7))),))


def _payloads(rng: Random, target: Target) -> Case:
    """What breaks no rule of MQTT, where this guest may write."""
    guest = rng.choice(("trigger", "operator"))
    connect, said = _login(rng, target, guest), []
    for number in range(1, rng.randint(2, 4)):
        topic = rng.choice(target.writable(guest))
        reply = bytes((_RESPONSE,)) + text(rng.choice(("pcb/verdict", "pcb/reply/operator", "x" * 60_000, "$SYS/x")))
        said.append(
            publish(
                topic,
                hostile_payload(rng, topic),
                rng.randrange(2),
                packet_id=number,
                version=connect.version,
                props=reply if rng.random() < 0.3 else b"",
                flags=1 if rng.random() < 0.1 else 0,
            )
        )
    return _session(connect, *said)


def _forbidden(rng: Random, target: Target) -> Case:
    """Where this guest may not write: a gate that opens, a verdict, a status, a setting."""
    guest = rng.choice(GUESTS)
    connect, said = _login(rng, target, guest), []
    denied = sorted(set(target.all_topics) - set(target.writable(guest)))
    for number in range(1, rng.randint(2, 5)):
        qos, retain = rng.randrange(3), rng.randrange(2)
        said.append(
            publish(
                rng.choice(denied),
                _forbidden_to(guest),
                qos,
                packet_id=number,
                version=connect.version,
                flags=retain,
            )
        )
    return replace(_session(connect, *said), denied=connect.version == V5)


def _giants(rng: Random, target: Target) -> Case:
    """Around the largest packet that is taken."""
    size = _BIG + rng.choice((-100, -16, 0, 1, 1_000))
    known = rng.random() < 0.5
    connect = _login(rng, target, "operator").encode() if known else b""
    return Case((connect + publish("pcb/command/nobody", b"[" * size, 0) + GOODBYE,), refused=not known)


# Below MQTT


def _websocket_frames(rng: Random, target: Target) -> Case:
    connect = _login(rng, target, version=V5).encode()
    mask = rng.choice((b"\0\0\0\0", rng.randbytes(4)))
    wrong = (
        frame(connect, 1, mask),
        frame(connect, rng.randint(3, 15), mask),
        frame(connect, mask=None),
        frame(connect, mask=mask, head=rng.choice((0x90, 0xA0, 0xC0, 0xF0))),
        frame(connect, mask=mask, length=rng.choice((0, 125, 65_535, 2**31, 2**63 - 1, 2**64 - 1))),
        frame(b"x" * 126, PING, mask),
        frame(b"x", PING, mask, head=0),
        frame(b"", PING, mask) * 200,
        frame(rng.randbytes(rng.choice((0, 1, 2, 130))), CLOSE, mask) * 2 + frame(connect, mask=mask),
        frame(connect[:5], mask=mask, head=0) + frame(connect[5:], BINARY, mask),
        frame(connect[:5], mask=mask, head=0) + frame(b"", PING, mask) + frame(connect[5:], 0, mask),
        b"".join(frame(connect[at : at + 1], 0 if at else BINARY, mask, head=0) for at in range(len(connect))),
        frame(b"", 0, mask, head=0) * 500,
        frame(connect + packet(PINGREQ) * 500, mask=mask),
        rng.randbytes(rng.choice((2, 50, 5_000))),
        b"\x82\xff" + b"\xff" * 8 + mask,
    )
    return Case((rng.choice(wrong),), Layer.WEBSOCKET)


def _http(rng: Random, target: Target) -> Case:
    path = rng.choice(("/", "/mqtt", "/../../etc/passwd", "/%00", "/" + "a" * 9_000, "*", "http://other/", "/\r\nX: y"))
    more = rng.choice(
        ("", "X: y\r\n" * 500, "X: " + "y" * 20_000 + "\r\n", "Content-Length: -1\r\n", ": \r\n", "\0\r\n")
    )
    words = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode(),
        f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{more}\r\nffffffffff\r\nx".encode(),
        upgrade(path=path, more=more),
        upgrade(protocol=rng.choice(("", "mqttv3.1", "chat", "mqtt, " * 400, "\0", "x" * 5_000))),
        upgrade(more=more).replace(b"Sec-WebSocket-Key: ", rng.choice((b"X: ", b"Sec-WebSocket-Key: " + b"A" * 5_000))),
        upgrade().replace(b"Version: 13", b"Version: " + rng.choice((b"0", b"99", b"-1", b"x" * 500))),
        upgrade().replace(b"Upgrade: websocket", rng.choice((b"Upgrade: h2c", b"Upgrade:", b"X: y"))),
        upgrade()[: rng.randrange(1, 180)],
        upgrade() * 2,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + rng.randbytes(50),
        b"\r\n" * 500,
    )
    return Case((rng.choice(words),), Layer.STREAM, refused=True)


def _tls(rng: Random, target: Target) -> Case:
    """Handshakes that are broken off, spoilt, or of another age; on a listener without TLS, just bytes."""
    hello = _client_hello(rng)
    spoilt = bytearray(hello)
    for _ in range(rng.randint(1, 5)):
        spoilt[rng.randrange(5, len(spoilt))] = rng.randrange(256)
    alert, beat = b"\x15\x03\x03\0\2\2\x28", b"\x18\x03\x02\0\3\1\x40\0"
    words = (
        hello,
        hello[: rng.randrange(1, len(hello))],
        bytes(spoilt),
        hello + rng.randbytes(100),
        hello + alert,
        hello + beat,
        hello * 3,
        b"\x16\x03\x01\0\0" * 50,
        b"\x16\x03\x01\xff\xff" + rng.randbytes(2_000),
        b"\x80\x2e\x01\0\2\0\x15\0\0\0\x10" + rng.randbytes(30),
        b"\x14\x03\x03\0\1\1",
        b"\x17\x03\x03\0\x20" + rng.randbytes(32),
    )
    return Case((rng.choice(words),), Layer.TCP, refused=True)


def _client_hello(rng: Random) -> bytes:
    """As TLS 1.3 begins, RFC 8446 section 4.1.2; its random parts are from the seed."""
    share = u16(0x001D) + text(rng.randbytes(32))
    extensions = (
        (0x0000, text(b"\0" + text("localhost"))),
        (0x000A, text(u16(0x001D) + u16(0x0017))),
        (0x000D, text(u16(0x0403) + u16(0x0804) + u16(0x0401))),
        (0x002B, b"\x04" + u16(0x0304) + u16(0x0303)),
        (0x0033, text(share)),
        (rng.randrange(65_536), text(rng.randbytes(rng.choice((0, 3, 500))))),
    )
    said = b"".join(u16(kind) + text(data) for kind, data in extensions)
    ciphers = u16(0x1301) + u16(0xC02F) + u16(0x009C)
    body = u16(0x0303) + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + text(ciphers) + b"\1\0" + text(said)
    return b"\x16\x03\x01" + text(b"\1\0" + text(body))


def _slow(rng: Random, target: Target) -> Case:
    """A byte now, a byte then; with a whole packet at the end, or none."""
    layer = rng.choice((Layer.TCP, Layer.STREAM, Layer.WEBSOCKET, Layer.MQTT))
    whole = rng.choice((_any_packet(rng, target)[:60], upgrade()[:60], _client_hello(rng)[:60]))
    return Case([whole[at : at + 1] for at in range(len(whole))], layer, slow=True)


_KINDS: Mapping[Kind, float] = {
    _random_bytes: 3,
    _fixed_headers: 5,
    _remaining_lengths: 5,
    _truncated: 6,
    _protocols: 5,
    _connect_flags: 5,
    _wrong_logins: 6,
    _thefts: 5,
    _before_connect: 5,
    _authentication: 2,
    _second_connects: 2,
    _wills: 6,
    _connect_properties: 5,
    _publish_properties: 6,
    _aliases: 3,
    _bad_topics: 5,
    _bad_filters: 5,
    _acknowledgements: 4,
    _utf8: 5,
    _sessions: 3,
    _payloads: 8,
    _forbidden: 6,
    _giants: 0.2,
    _websocket_frames: 5,
    _http: 4,
    _tls: 4,
    _slow: 1,
}
