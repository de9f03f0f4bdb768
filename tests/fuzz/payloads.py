"""Payloads that a guest may send on the topics that it may write, and that are meant to hurt whoever reads them."""

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

import msgpack
from faults.kinds.malformed import garbled
from faults.values import at_the_edges

from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Command, Message, Trigger

_LARGE = 250_000  # bytes; a reader takes JSON up to 256 KiB
_WHEN = 1_795_248_000_000_000_000
_TRIGGER = {"board_id": "fuzzed", "triggered_at": _WHEN, "source": "fuzz"}
_COMMANDS = ("ping", "arm", "disarm", "test_pulse", "resend")
_TEXTS = ("\\ud800", "\\udc00\\ud800", "\\u0000", "\u202e", "Z" + "\u0301" * 40, "\\u001b[2J", "한", "{0}${x}")
_FIELDS = (
    '"board_id": "%", "triggered_at": "2026-11-21T08:00:00Z", "source": "fuzz"',
    '"command": "%"',
    '"command": "ping", "params": {"%": "%"}',
    '"command": "test_pulse", "params": {"category": "%"}',
)
Garble = Callable[[Random], bytes]


def _nested(rng: Random) -> bytes:
    depth = rng.choice((11, 100, 1_000, 20_000, 100_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"v":', b"}"), (b'[{"":', b"}]")))
    where = rng.choice((b"", b'{"v": 1, "command": "ping", "params": ', b'{"v": 1, "board_id": '))
    return (where + opening * depth + b"1" + closing * rng.choice((0, depth)))[:_LARGE]


def _numbers(rng: Random) -> bytes:
    digits = rng.choice((20, 400, 4_299, 4_301, 100_000))
    tiny = "0." + "0" * digits + "1"
    number = rng.choice(("9" * digits, "-" + "9" * digits, "1e999999999", tiny, "-0", "1E-9999999"))
    fields = f'"triggered_at": {number}, "age_ms": {number}, "params": {{"n": {number}}}'
    return f'{{"v": 1, "board_id": "b", "command": "ping", {fields}}}'.encode()


def _many_keys(rng: Random) -> bytes:
    count = rng.choice((1_000, 10_000))
    same = rng.random() < 0.5
    keys = ",".join(f'"{"k" if same else number}": {number}' for number in range(count))
    return f'{{"v": 1, "command": "ping", "params": {{{keys}}}}}'.encode()


def _texts(rng: Random) -> bytes:
    part = rng.choice(_TEXTS) * rng.choice((1, 20, 2_000))
    return ('{"v": 1, ' + rng.choice(_FIELDS).replace("%", part) + "}").encode()


def _other_encodings(rng: Random) -> bytes:
    whole = json.dumps({"v": 1, **_TRIGGER, "triggered_at": "2026-11-21T08:00:00Z"}).replace("fuzzed", "보드")
    data = whole.encode(rng.choice(("utf-16", "utf-32", "euc-kr", "utf-8-sig", "utf-7")))
    return rng.choice((data, data[:-1], b"\x00" + data, data + b"\x00", data * 2))


def _msgpack_bomb(rng: Random) -> bytes:
    count = rng.choice((1_000, 100_000))
    bombs = (
        b"\x91" * count,
        b"\x81\xa1v" * count,
        b"\xdd" + struct.pack(">I", 2**32 - 1) + b"\xc0" * count,
        b"\xdf" + struct.pack(">I", 2**31) + b"\xa1v\x01",
        b"\xc9" + struct.pack(">I", 2**32 - 1) + b"\xff",
        b"\xdb" + struct.pack(">I", 2**32 - 1),
        bytes(msgpack.packb({"v": 1, "jpeg": b"\xff\xd8" * count})),
        bytes(msgpack.packb(msgpack.Timestamp(2**33, 999_999_999))),
    )
    return rng.choice(bombs)[:_LARGE]


def _large(rng: Random) -> bytes:
    size = rng.choice((_LARGE, 262_145, 1_000_000))
    return b'{"v": 1, "command": "ping", "params": {"x": "' + b"x" * size + b'"}}'


_RARE: Sequence[Garble] = (_nested, _many_keys, _msgpack_bomb, _large)
_COMMON: Sequence[Garble] = (_numbers, _texts, _other_encodings, garbled)


def hostile_payload(rng: Random, topic: str) -> bytes:
    """One for this topic: bad in itself, or in order but at the edge of what its fields may be."""
    if rng.random() < 0.4:
        kind = Command if "/command/" in topic else Trigger
        return rng.choice(_at_the_edges(kind))
    return rng.choice(_RARE if rng.random() < 0.1 else _COMMON)(rng)


@cache
def _at_the_edges(kind: type[Message]) -> Sequence[bytes]:
    bases: Sequence[Mapping[str, Any]] = [_TRIGGER] if kind is Trigger else [{"command": name} for name in _COMMANDS]
    return [encode_json(message) for base in bases for _, message in at_the_edges(kind, base)]
