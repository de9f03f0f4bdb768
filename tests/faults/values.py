"""Values that a stranger may send and our decoders take: the edges of every field, read from the contract itself.

A bound that is moved in `pcb_bus.contract.messages` moves here, too, and a field that is added there is tried here.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, TypeVar

from pydantic import ValidationError

from pcb_bus.contract.messages import MAX_TEXT, Message

M = TypeVar("M", bound=Message)
Schema = Mapping[str, Any]

_PLANES = "".join(chr(plane << 16 | 0x41) for plane in range(17))
_ENDS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFD, 0xFFFE, 0xFFFF))
TEXTS: Sequence[str] = (
    "x",
    "0",
    "null",
    _PLANES,
    _ENDS,
    "\u0080\u0085\u009f\u00ad",  # control characters that are no ASCII
    "a\u2028b\u2029c\ufeff",
    "a\u00a0\u2003\u200b\u3000b",
    "\u202egnp.exe\u202c\u2066\u2069",
    "é e\u0301 É ß ẞ ı İ ſ K",  # alike to some collations
    "Z" + "\u0300\u0301\u0316\u0489" * 20,
    "👩‍👩‍👧‍👦🏳️‍🌈🇰🇷👍🏿",
    "한글 ㅎㅏㄴ ᄒ\u1161\u11ab 漢字 日本語 עברית العربية ไทย",
    "😀" * 128,
    "'\"`\\''\\\"",
    "'); DROP TABLE inspections; --",
    '" OR ""="',
    "<script>alert(1)</script>&amp;&#0;<!--",
    "%s %d %n %(name)s %%",
    "{0} {board_id} {} }{ ${x} $(id) `id` #{x} {{x}}",
    "../../../../../../etc/passwd",
    "C:\\Windows\\..\\con",
    "/+/#/$SYS",
    "a\\nb\\u0000c\\",
    "=1+1|' /C calc'!A0",
    "-rf",
)
NAMES: Sequence[str] = (
    "x",
    "left2",
    "A" * 64,
    ".",
    "..",
    "...",
    "-",
    "--help",
    "_",
    "0",
    "con",
    "nul.",
    "__proto__",
    "None",
)
_HASHES = ("0" * 64, "f" * 64)
_DEPTH = 8


def at_the_edges(kind: type[M], base: Mapping[str, Any]) -> Iterator[tuple[str, M]]:
    """Messages that are `base` but for one field, which is at an edge of what it may be; the field comes with each.

    Args:
        base: the fields of a message, by their names in the class.
    """
    schema = kind.model_json_schema(by_alias=False)
    for path, data in _variants(schema, base, schema.get("$defs", {})):
        try:
            yield path, kind.model_validate(data)
        except ValidationError:
            continue  # a rule that the schema does not tell


def crowded(kind: type[M], base: Mapping[str, Any], rng: Random) -> M | None:
    """A message whose every field is at some edge; None if these do not go together."""
    schema = kind.model_json_schema(by_alias=False)
    defs = schema.get("$defs", {})
    fields = {
        name: rng.choice([value for _, value in _variants(each, base.get(name), defs)])
        for name, each in schema["properties"].items()
    }
    try:
        return kind.model_validate(fields)
    except ValidationError:
        return None


def _variants(schema: Schema, value: Any, defs: Mapping[str, Schema]) -> Iterator[tuple[str, Any]]:
    """Where something is changed, and the whole as it is then; `value` is what stands there, if it fits."""
    if "$ref" in schema:
        yield from _variants(defs[schema["$ref"].rpartition("/")[2]], value, defs)
    elif "anyOf" in schema:
        for option in schema["anyOf"]:
            yield from _variants(option, value, defs)
    elif "properties" in schema:
        whole = value if isinstance(value, Mapping) else _plain(schema, defs)
        for name, each in schema["properties"].items():
            for path, changed in _variants(each, whole.get(name), defs):
                yield f"{name}.{path}".rstrip("."), {**whole, name: changed}
    elif "items" in schema:
        item = value[0] if value else None
        yield "", []
        yield "", [_plain(schema["items"], defs)] * schema.get("maxItems", 1000)
        yield from ((path, [changed]) for path, changed in _variants(schema["items"], item, defs))
    elif "patternProperties" in schema:
        (each,) = schema["patternProperties"].values()
        yield "", {}
        yield from (("", {name: _plain(each, defs)}) for name in NAMES)
        yield from ((path, {"left": changed}) for path, changed in _variants(each, None, defs))
    else:
        yield from (("", edge) for edge in _edges(schema))


def _plain(schema: Schema, defs: Mapping[str, Schema]) -> Any:
    """Something that is valid there."""
    if "$ref" in schema:
        return _plain(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in schema:
        return _plain(schema["anyOf"][0], defs)
    if "properties" in schema:
        return {name: _plain(each, defs) for name, each in schema["properties"].items()}
    return next(value for _, value in _variants(schema, None, defs))


def _edges(schema: Schema) -> Sequence[Any]:
    """Of a field that has no parts."""
    if "enum" in schema:
        return list(schema["enum"])
    edges = _BY_TYPE.get(schema.get("type", ""))
    return _anything() if edges is None else edges(schema)


def _whole_numbers(schema: Schema) -> Sequence[int]:
    low = schema.get("minimum", schema.get("ge", schema.get("gt", -1) + 1))
    high = schema.get("maximum", schema.get("le", schema.get("lt", 2**63) - 1))
    return sorted({each for each in (low, low + 1, (low + high) // 2, high - 1, high) if low <= each <= high})


def _numbers(schema: Schema) -> Sequence[float]:
    low, high = float(schema.get("minimum", -1e308)), float(schema.get("maximum", 1e308))
    within = [low, math.nextafter(low, high), 0.0, -0.0, 5e-324, 1e-9, 1 / 3, math.nextafter(high, low), high]
    return [number for number in within if low <= number <= high]


def _texts(schema: Schema) -> Sequence[Any]:
    if schema.get("format") == "binary":
        return _pictures()
    if "pattern" in schema:
        return _HASHES if "{64}" in schema["pattern"] else NAMES
    longest = schema.get("maxLength", MAX_TEXT)
    return [*(text[:longest] for text in TEXTS), "y" * longest, "😀" * longest, "\u0301" * longest]


def _maps() -> Sequence[dict[str, Any]]:
    return [
        {},
        *({text: text} for text in TEXTS),
        {f"key {number}": number for number in range(1000)},
        *({"value": each} for each in _anything()),
    ]


def _anything() -> Sequence[Any]:
    deep: Any = 1
    for _ in range(_DEPTH):
        deep = {"deeper": [deep]} if isinstance(deep, list | int) else [deep]
    return [None, True, False, "", 0, -1, 2**63 - 1, -(2**63) + 1, 9e18, 5e-324, -0.0, [], [[]], {}, deep, *TEXTS]


@cache
def _pictures() -> Sequence[bytes]:
    """Whole ones, and what only looks like one."""
    import cv2
    import numpy as np

    small = cv2.imencode(".jpg", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
    size = small.index(b"\xff\xc0") + 5
    comment = b"\xff\xfe\xff\xff" + bytes(0xFFFD)
    return [
        small,
        b"\0",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        small[:size] + b"\xff\xff\xff\xff" + small[size + 4 :],  # 65,535 pixels each way
        small[:size] + b"\0\0\0\0" + small[size + 4 :],
        small[:2] + comment * 20 + small[2:],
        small + bytes(10_000),
        cv2.imencode(".png", np.full((8, 8), 90, np.uint8))[1].tobytes(),
    ]


_BY_TYPE: Mapping[str, Callable[[Schema], Sequence[Any]]] = {
    "null": lambda _: [None],
    "boolean": lambda _: [False, True],
    "integer": _whole_numbers,
    "number": _numbers,
    "string": _texts,
    "object": lambda _: _maps(),
}
