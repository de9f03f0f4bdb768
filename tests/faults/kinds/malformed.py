"""Ten thousand payloads that no service can use, on every topic that one listens to, from logins that may write."""

import json
import struct
import threading
from collections.abc import Callable, Iterator
from random import Random

import msgpack

from faults.catalogue import fault
from faults.line import EDGES, SIDES, FaultLine
from pcb_bus.session import MqttSession
from pcb_bus.topics import Topics

PAYLOADS = 10_000
_WINDOW = 80  # publishes under way on one session: what is more would only wait in our own memory
_GIANT = 60_000  # characters of a string; written out, up to 1 MB a message
_PATIENCE_S = 30.0
_MOMENT = "2026-11-21T08:00:00.123Z"

Garble = Callable[[Random], bytes]


def topics_by_login(topics: Topics) -> dict[str, tuple[str, ...]]:
    """Where each login may write and a service listens."""
    heard: dict[str, tuple[str, ...]] = {
        "inference": (str(topics.verdict), str(topics.resend_verdict), *(str(topics.evidence(each)) for each in SIDES)),
        "actuator": (str(topics.actuation), str(topics.resend_actuation)),
        "recorder": (str(topics.recorded), str(topics.config)),
        "trigger": (str(topics.trigger), str(topics.resend_trigger)),
        "operator": tuple(str(topics.command(node)) for node in ("recorder", "actuator", "inference", *EDGES)),
    }
    for side in SIDES:
        heard[f"edge-{side}"] = (str(topics.frame(side)),)
    for node in ("inference", "actuator", "recorder"):
        heard[node] += (str(topics.event(node)), str(topics.status(node)))
    heard["actuator"] += (f"{topics.reply('recorder')}/nobody", f"{topics.reply('inference')}/nobody")
    return heard


def _random_bytes(rng: Random) -> bytes:
    return rng.randbytes(rng.randint(0, 400))


def _truncated(rng: Random) -> bytes:
    whole = json.dumps(_message(rng)).encode() if rng.random() < 0.5 else _packed(_message(rng))
    return whole[: rng.randint(0, len(whole) - 1)]


def _wrong_types(rng: Random) -> bytes:
    """A real message but for the version, which no reader takes, and one field of the wrong type."""
    spoilt = _message(rng)
    spoilt[rng.choice(sorted(spoilt))] = rng.choice([None, [], {}, "1", -1, 0.5, True])
    spoilt["v"] = rng.choice([None, "1", 1.0, True, 2, [], {}])
    return json.dumps(spoilt).encode()


def _huge_numbers(rng: Random) -> bytes:
    number = rng.choice(["1e999", "-1e999", "NaN", "Infinity", "9" * 400, "-" + "9" * 5000, "1e-999"])
    return f'{{"v": {number}, "board_id": "b", "verdict_id": "v", "triggered_at": {number}}}'.encode()


def _deep(rng: Random) -> bytes:
    depth = rng.choice([50, 1000, 20_000])
    opening, closing = rng.choice([(b"[", b"]"), (b'{"v":', b"}")])
    return opening * depth + b"1" + closing * rng.choice([0, depth])


def _wrong_msgpack(rng: Random) -> bytes:
    heads = [
        b"\xc1",
        b"\xdd" + struct.pack(">I", 2**32 - 1),
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\x91" * 2000,
    ]
    return rng.choice(heads) + rng.randbytes(rng.randint(0, 60))


def _wrong_picture(rng: Random) -> bytes:
    return b"\xff\xd8" + rng.randbytes(rng.randint(0, 2000))


def _giant_strings(rng: Random) -> bytes:
    giant = rng.choice(["x", "\u0000", "한", "\ud800"]) * rng.randint(200, _GIANT)
    return json.dumps({"v": 2, "board_id": giant, "verdict_id": giant, "command": giant}).encode()


_COMMON: tuple[Garble, ...] = (_random_bytes, _truncated, _wrong_types, _huge_numbers, _wrong_msgpack, _wrong_picture)
_RARE: tuple[Garble, ...] = (_deep, _giant_strings)


def garbled(rng: Random) -> bytes:
    """One payload; one in a hundred is large."""
    return rng.choice(_RARE if rng.random() < 0.01 else _COMMON)(rng)


@fault("malformed messages")
def malformed(line: FaultLine, rng: Random) -> Iterator[None]:
    logins = topics_by_login(line.topics)
    senders = {login: _Sender(line.session(login, name=f"faults-garbler-{login}")) for login in logins}
    try:
        for sender in senders.values():
            sender.start()
        _send(senders, logins, rng)
        yield
    finally:
        for sender in senders.values():
            sender.stop()


def _send(senders: "dict[str, _Sender]", logins: dict[str, tuple[str, ...]], rng: Random) -> None:
    targets = [(senders[login], topic) for login, topics in sorted(logins.items()) for topic in topics]
    for number in range(PAYLOADS):
        sender, topic = targets[number % len(targets)]
        sender.send(topic, garbled(rng))
    for sender in senders.values():
        sender.finish()


class _Sender:
    """Publishes at QoS 1, and waits for the broker when too much is under way.

    Raises:
        TimeoutError: the broker does not take what is sent, or may not.
    """

    def __init__(self, session: MqttSession) -> None:
        self._session = session
        self._places = threading.Semaphore(_WINDOW)
        self._refused = 0

    def start(self) -> None:
        self._session.start()
        if not self._session.wait_connected(_PATIENCE_S):
            raise TimeoutError("no broker for the malformed messages")

    def send(self, topic: str, payload: bytes) -> None:
        self._take()
        if not self._session.publish(topic, payload, on_done=self._answered):
            raise TimeoutError("the session takes nothing more")

    def finish(self) -> None:
        for _ in range(_WINDOW):
            self._take()
        if self._refused:
            raise TimeoutError(f"the broker has refused {self._refused} malformed messages")

    def _answered(self, accepted: bool) -> None:
        self._refused += not accepted
        self._places.release()

    def stop(self) -> None:
        self._session.stop(flush_s=0)

    def _take(self) -> None:
        if not self._places.acquire(timeout=_PATIENCE_S):
            raise TimeoutError("the broker takes nothing more")


def _packed(message: dict[str, object]) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


def _message(rng: Random) -> dict[str, object]:
    """A message that would be read, were it left alone."""
    verdict = f"garbled-{rng.randrange(10**9)}"
    common = {"v": 1, "board_id": verdict, "verdict_id": verdict}
    return dict(
        rng.choice(
            [
                {**common, "triggered_at": _MOMENT, "source": "garbler"},
                {**common, "outcome": "late", "category": "solder", "pin": None, "fired_at": None, "duration_ms": None,
                 "latency_ms": None},
                {**common, "side": "left", "jpeg": "ffd8"},
                {**common, "verdicts": [verdict], "actuations": [], "triggers": []},
                {**common, "command": "disarm", "params": {}},
                {**common, "values": {"confidence": 0.5}, "updated_at": _MOMENT},
            ]
        )
    )  # fmt: skip
