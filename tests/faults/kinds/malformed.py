"""Ten thousand payloads that no service can use, on every topic that one listens to, from logins that may write."""

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from random import Random

import msgpack
from support.probe import Probe

from faults.catalogue import fault
from faults.line import EDGES, SIDES, FaultLine
from pcb_bus.contract.topics import Topics

PAYLOADS = 10_000
_SURELY = 0.1  # share that goes out at QoS 1; the broker writes each of those to its disk
_NOBODY_LISTENS = 0x10
_GIANT = 60_000  # characters of a string; written out, up to 1 MB a message
_MOMENT = "2026-11-21T08:00:00.123Z"

Garble = Callable[[Random], bytes]


def topics_by_login(topics: Topics) -> dict[str, tuple[str, ...]]:
    """Where each login may write and a service listens."""
    heard: dict[str, tuple[str, ...]] = {
        "inference": (str(topics.verdict), str(topics.resend_verdict), *(str(topics.evidence(each)) for each in SIDES)),
        "actuator": (str(topics.actuation), str(topics.resend_actuation)),
        "recorder": (str(topics.recorded), str(topics.config), str(topics.unreported)),
        "trigger": (str(topics.trigger), str(topics.resend_trigger)),
        "operator": tuple(str(topics.command(node)) for node in ("recorder", "actuator", "inference", *EDGES)),
    }
    for side in SIDES:
        heard[f"edge-{side}"] = (str(topics.frame(side)), str(topics.serial(side)), str(topics.clock))
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
    spoilt["v"] = rng.choice([None, "1", 1.5, True, 2, [], {}])
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
    with ExitStack() as opened:
        logins = topics_by_login(line.topics)
        senders = {login: opened.enter_context(Probe(line.broker, login)) for login in logins}
        opened.callback(line.operator.ask_surely, "arm")  # a disarm is obeyed whatever else is wrong with it
        targets = [(senders[login], topic) for login, topics in logins.items() for topic in topics]
        for number in range(PAYLOADS):
            sender, topic = targets[number % len(targets)]
            _send(sender, topic, garbled(rng), surely=rng.random() < _SURELY)
        yield


def _send(sender: Probe, topic: str, payload: bytes, *, surely: bool) -> None:
    """At QoS 1 we hear that it was let through; at QoS 0 it goes as fast as the broker reads."""
    refused = sender.publish(topic, payload, qos=int(surely))
    if refused and refused != _NOBODY_LISTENS:
        raise PermissionError(f"{topic} may not be written, reason {refused:#x}")


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
