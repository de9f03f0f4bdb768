"""What a stranger may send, and what comes of it: a message, or one counted and named rejection."""

import gc
import json
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcb_bus.contract import messages
from pcb_bus.contract.codec import MAX_JSON_BYTES, decode_json, decode_msgpack, encode_json, encode_msgpack
from pcb_bus.contract.messages import (
    MAX_TEXT,
    Actuation,
    Box,
    ClockReply,
    Command,
    CommandReply,
    Event,
    Evidence,
    Frame,
    GpioSignal,
    Inspect,
    LiveConfig,
    Message,
    ModelRef,
    NodeStatus,
    Recorded,
    Serial,
    SideResult,
    Timing,
    Trigger,
    Unreported,
    UnreportedVerdict,
    Verdict,
)
from pcb_bus.errors import MessageRejected

MS = 1_000_000
NOW = 1_795_248_000_123 * MS

SIDE = SideResult(
    camera_id="left",
    frame_id="f1",
    captured_at=NOW,
    defect_type="납땜불량",
    category="solder",
    confidence=0.93,
    boxes=(Box(x1=1, y1=2.5, x2=30, y2=40, confidence=0.93, class_name="short"),),
    anomaly_score=None,
    inference_time_ms=14.2,
)
VERDICT = Verdict(
    verdict_id="a2b1",
    board_id="board-17",
    status="incomplete",
    final_defect_type="납땜불량",
    category="solder",
    confidence=0.93,
    gpio_signal=GpioSignal(pin=27, action="HIGH", duration_ms=500),
    sides={"left": SIDE},
    captured_at=NOW,
    judged_at=NOW + 40 * MS,
    deadline_at=NOW + 2000 * MS,
    latency_ms=41.3,
    model=ModelRef(name="starter", sha256="0" * 64),
    timing=Timing(ready_at=NOW, inference_ms=20.0),
)
FRAME = Frame(
    side="left",
    board_id="board-17",
    triggered_at=NOW,
    frame_id="f1",
    captured_at=NOW + 123_456,
    width=640,
    height=480,
    jpeg=b"\xff\xd8\xff\xd9",
)
EXAMPLES: list[Message] = [
    Trigger(board_id="board-17", triggered_at=NOW, source="photo-eye"),
    FRAME,
    VERDICT,
    Evidence(verdict_id="a2b1", board_id="board-17", side="left", jpeg=b"\xff\xd8\xff\xd9"),
    Evidence(verdict_id="a2b1", board_id="board-17", side="left", jpeg=b"\xff\xd8\xff\xd9", heat_map=b"\x89PNG"),
    Recorded(verdicts=("a2b1",), actuations=()),
    Actuation(
        verdict_id="a2b1",
        board_id="board-17",
        category="solder",
        pin=27,
        outcome="fired",
        fired_at=NOW,
        duration_ms=500,
        latency_ms=1.5,
    ),
    Unreported(verdicts=(UnreportedVerdict(verdict_id="a2b1", board_id="board-17", category="solder"),)),
    NodeStatus(
        state="online", service="edge", node="edge-left", version="0.1.0", host="pi", started_at=NOW, updated_at=NOW
    ),
    Event(level="warning", source="edge-left", message="카메라 gone", details={"tries": 3}, at=NOW),
    LiveConfig(values={"edge.quality": 80}, updated_at=NOW),
    Command(command="ping"),
    CommandReply(result={"armed": True}),
    Serial(side="left", board_id="board-17", triggered_at=NOW, serial="SN-0042", symbology="DataMatrix"),
    ClockReply(heard_at=NOW, said_at=NOW + MS),
    Inspect(pictures={"left": b"\xff\xd8"}, product="pi-hat", expires_at=NOW),
]
BINARY = [example for example in EXAMPLES if isinstance(example, Frame | Evidence | Inspect)]
TEXT = [example for example in EXAMPLES if not isinstance(example, Frame | Evidence | Inspect)]


def wire(message: Message) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode_json(message))
    return document


def nested(levels: int) -> object:
    value: object = "deep"
    for _ in range(levels):
        value = [value]
    return value


def rejected_json(kind: type[Message], document: object) -> MessageRejected:
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(MessageRejected) as caught:
        decode_json(kind, payload)
    return caught.value


def rejected_msgpack(kind: type[Message], document: object) -> MessageRejected:
    payload = document if isinstance(document, bytes) else msgpack.packb(document)
    with pytest.raises(MessageRejected) as caught:
        decode_msgpack(kind, payload)
    return caught.value


def test_every_message_class_has_an_example() -> None:
    public = {each for each in vars(messages).values() if isinstance(each, type) and issubclass(each, Message)}
    assert {type(example) for example in EXAMPLES} == public - {Message}


@pytest.mark.parametrize("message", TEXT, ids=lambda each: type(each).__name__)
def test_json_there_and_back(message: Message) -> None:
    assert decode_json(type(message), encode_json(message)) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda each: type(each).__name__)
def test_msgpack_there_and_back(message: Message) -> None:
    assert decode_msgpack(type(message), encode_msgpack(message)) == message


def test_times_are_rfc3339_in_json_and_nanoseconds_in_msgpack() -> None:
    assert wire(EXAMPLES[0]) == {
        "v": 1,
        "board_id": "board-17",
        "triggered_at": "2026-11-21T08:00:00.123Z",
        "source": "photo-eye",
        "age_ms": None,
        "product": None,
    }
    assert msgpack.unpackb(encode_msgpack(FRAME))["captured_at"] == NOW + 123_456


def test_evidence_need_not_have_a_heat_map() -> None:
    older = {"v": 1, "verdict_id": "a2b1", "board_id": "board-17", "side": "left", "jpeg": b"\xff\xd8\xff\xd9"}
    assert decode_msgpack(Evidence, msgpack.packb(older)).heat_map is None
    for bad in (b"", "text", 1, []):
        assert rejected_msgpack(Evidence, {**older, "heat_map": bad}).reason == "schema"


def test_pictures_are_binary() -> None:
    assert msgpack.unpackb(encode_msgpack(FRAME))["jpeg"] == b"\xff\xd8\xff\xd9"


def test_the_sides_of_a_verdict_are_fields_of_their_own() -> None:
    document = wire(VERDICT)
    assert "sides" not in document
    assert document["left"]["camera_id"] == "left"
    assert document["left"]["boxes"][0]["class"] == "short"
    assert "class_name" not in document["left"]["boxes"][0]


def test_a_side_that_was_not_seen_is_null_on_the_wire_and_absent_for_the_reader() -> None:
    sent = VERDICT.model_copy(update={"sides": {"left": SIDE, "right": None}})
    assert wire(sent)["right"] is None
    assert decode_json(Verdict, encode_json(sent)).sides == {"left": SIDE}


def test_one_side_or_four_work_the_same_way() -> None:
    sides = {name: SIDE.model_copy(update={"camera_id": name}) for name in ("top", "bottom", "north", "south")}
    verdict = VERDICT.model_copy(update={"sides": sides})
    assert decode_json(Verdict, encode_json(verdict)).sides == sides


@pytest.mark.parametrize("message", TEXT, ids=lambda each: type(each).__name__)
def test_a_newer_sender_may_say_more(message: Message) -> None:
    newer = {**wire(message), "weather": "fine", "weathers": {"left": 1}, "rows": [1, {"a": None}]}
    assert decode_json(type(message), json.dumps(newer).encode()) == message


@pytest.mark.parametrize("message", TEXT, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("version", [None, 2, "1", 1.5, True])
def test_every_payload_needs_its_version(message: Message, version: object) -> None:
    document = {**wire(message), "v": version}
    if version is None:
        del document["v"]
    rejection = rejected_json(type(message), document)
    assert rejection.reason == "schema"
    assert rejection.detail.startswith("v: ")


def required(message: Message) -> list[tuple[Message, str]]:
    fields = type(message).model_fields
    return [(message, name) for name, field in fields.items() if field.is_required() and name != "sides"]


@pytest.mark.parametrize(
    ("message", "field"),
    [pair for message in TEXT for pair in required(message)],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_missing_field_is_named(message: Message, field: str) -> None:
    document = wire(message)
    del document[field]
    assert rejected_json(type(message), document).detail.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        (Trigger, {"board_id": 17}, "board_id"),
        (Trigger, {"board_id": ""}, "board_id"),
        (Trigger, {"board_id": "b" * 129}, "board_id"),
        (Trigger, {"triggered_at": NOW}, "triggered_at"),
        (Trigger, {"triggered_at": "2026-11-21 08:00"}, "triggered_at"),
        (Trigger, {"triggered_at": "1969-12-31T23:59:59Z"}, "triggered_at"),
        (Trigger, {"triggered_at": "2200-01-01T00:00:00Z"}, "triggered_at"),
        (Trigger, {"triggered_at": "9999-12-31T23:59:59Z"}, "triggered_at"),
        (Trigger, {"board_id": "b\0"}, "board_id"),
        (Trigger, {"board_id": "b\nc"}, "board_id"),
        (Trigger, {"source": "plc\x7f"}, "source"),
        (Trigger, {"age_ms": 1e10}, "age_ms"),
        (Verdict, {"category": "terrible"}, "category"),
        (Verdict, {"confidence": "0.9"}, "confidence"),
        (Verdict, {"confidence": 1.01}, "confidence"),
        (Verdict, {"latency_ms": -1}, "latency_ms"),
        (Verdict, {"latency_ms": 1.5e308}, "latency_ms"),
        (Verdict, {f"side{number}": wire(VERDICT)["left"] for number in range(8)}, "sides"),
        (Verdict, {"left": {**wire(VERDICT)["left"], "anomaly_score": 1.5}}, "sides.left.anomaly_score"),
        (Verdict, {"gpio_signal": {"pin": 27, "action": "UP", "duration_ms": 500}}, "gpio_signal.action"),
        (Verdict, {"gpio_signal": {"pin": 40, "action": "HIGH", "duration_ms": 500}}, "gpio_signal.pin"),
        (Verdict, {"left": {"camera_id": "left"}}, "sides.left.frame_id"),
        (Verdict, {"model": {"name": "m", "sha256": "short"}}, "model.sha256"),
        (Actuation, {"outcome": "perhaps"}, "outcome"),
        (Actuation, {"duration_ms": True}, "duration_ms"),
        (Actuation, {"duration_ms": 500.5}, "duration_ms"),
        (Actuation, {"duration_ms": 2**40}, "duration_ms"),
        (Actuation, {"pin": 28}, "pin"),
        (Recorded, {"verdicts": ["a", 5]}, "verdicts.1"),
        (Recorded, {"verdicts": "a"}, "verdicts"),
        (NodeStatus, {"node": "edge/left"}, "node"),
        (Command, {"params": []}, "params"),
        (Command, {"params": {"n": 2**63}}, "params"),
        (Command, {"params": {"n": [10**400]}}, "params"),
        (Command, {"params": {"text": "\0"}}, "params"),
        (Command, {"params": {"a": nested(10)}}, "params"),
        (LiveConfig, {"values": {"class_confidence": {"short": 1e300}}}, "values"),
        (Unreported, {"verdicts": [{"verdict_id": "v", "board_id": "b", "category": "solder"}] * 1001}, "verdicts"),
    ],
)
def test_a_wrong_value_is_named(kind: type[Message], change: dict[str, Any], named: str) -> None:
    example = next(each for each in EXAMPLES if isinstance(each, kind))
    rejection = rejected_json(kind, {**wire(example), **change})
    assert rejection.reason == "schema"
    assert rejection.detail.startswith(f"{named}: ")
    assert "\n" not in str(rejection)


@pytest.mark.parametrize("board_id", ["board-17 ", " board-17", "board-17\u00a0", "board-17\u3000", " "])
def test_an_id_that_mysql_would_take_for_another_is_refused(board_id: str) -> None:
    rejection = rejected_json(Trigger, {**wire(EXAMPLES[0]), "board_id": board_id})
    assert rejection.reason == "schema"
    assert rejection.detail == "board_id: an id neither begins nor ends with white space"
    assert rejected_json(Recorded, {"v": 1, "verdicts": ["a", board_id]}).detail.startswith("verdicts.1: ")


def test_an_id_may_have_spaces_within() -> None:
    trigger = Trigger(board_id="판 17 b", triggered_at=NOW, source="the eye ")
    assert decode_json(Trigger, encode_json(trigger)) == trigger


def test_a_whole_number_may_come_as_a_float() -> None:
    report = next(each for each in EXAMPLES if isinstance(each, Actuation))
    said = decode_json(Actuation, json.dumps({**wire(report), "v": 1.0, "duration_ms": 500.0, "pin": 27.0}).encode())
    assert said == report
    assert type(said.duration_ms) is int
    frame = {**FRAME.model_dump(), "v": 1.0, "width": 640.0, "captured_at": 1.5e18}
    assert decode_msgpack(Frame, msgpack.packb(frame)).captured_at == 1_500_000_000_000_000_000


@pytest.mark.parametrize("text", ["2026-11-21t08:00:00.123z", "2026-11-21 08:00:00.123000000000-00:00"])
def test_every_way_to_write_a_time_is_read(text: str) -> None:
    document = {**wire(EXAMPLES[0]), "triggered_at": text}
    assert decode_json(Trigger, json.dumps(document).encode()) == EXAMPLES[0]


def test_what_somebody_has_to_say_is_cut_and_never_refused() -> None:
    foreign = "\0line\nline\x7f\udce9" + "x" * 3000
    event = Event(level="error", source="edge-left", message=foreign, details={foreign: foreign}, at=NOW)
    assert event.message.startswith(" line line  xxx")
    assert len(event.message) == len(event.details[event.message]) == MAX_TEXT
    status = next(each for each in EXAMPLES if isinstance(each, NodeStatus))
    assert wire(status.model_copy(update={"detail": foreign}))["detail"] == event.message  # a copy is not validated
    assert decode_json(Event, json.dumps({**wire(event), "message": "a\nb"}).encode()).message == "a b"


def test_details_that_cannot_be_stored_are_null() -> None:
    details = {"nan": float("nan"), "big": 10**5000, "folder": Path("var"), "deep": nested(20), "pair": (1, True)}
    event = Event(level="error", source="edge-left", message="full", details=details, at=NOW)
    assert decode_json(Event, encode_json(event)) == event
    deep = event.details.pop("deep")
    assert event.details == {"nan": None, "big": None, "folder": "var", "pair": [1, True]}
    assert json.dumps(deep) == "[" * 9 + "null" + "]" * 9


def test_a_latency_between_two_clocks_is_cut() -> None:
    report = next(each for each in EXAMPLES if isinstance(each, Actuation))
    for said, read in ((1.5e308, 1e9), (-3.6e6, -3.6e6), (-1e12, -1e9)):
        assert Actuation.model_validate({**report.model_dump(), "latency_ms": said}).latency_ms == read


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["confidence", "latency_ms"])
def test_what_is_not_a_number_is_refused(field: str, number: str) -> None:
    payload = json.dumps({**wire(VERDICT), field: 12345.0}).replace("12345.0", number).encode()
    rejected_json(Verdict, payload)
    rejected_msgpack(Verdict, {**VERDICT.model_dump(by_alias=True), field: float(number)})


def test_a_box_that_is_inside_out_is_refused() -> None:
    document = wire(VERDICT)
    document["left"]["boxes"][0]["x2"] = 0
    assert "x1 <= x2" in rejected_json(Verdict, document).detail


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"captured_at": "2026-11-21T08:00:00.123Z"}, "captured_at"),
        ({"captured_at": 1.5}, "captured_at"),
        ({"captured_at": -1}, "captured_at"),
        ({"captured_at": 2**63}, "captured_at"),
        ({"width": 0}, "width"),
        ({"width": "640"}, "width"),
        ({"jpeg": b""}, "jpeg"),
        ({"jpeg": "text"}, "jpeg"),
        ({"side": "left/right"}, "side"),
        ({"side": "left\n"}, "side"),
    ],
)
def test_a_wrong_frame_is_named(change: dict[str, Any], named: str) -> None:
    rejection = rejected_msgpack(Frame, {**FRAME.model_dump(), **change})
    assert rejection.reason == "schema"
    assert rejection.detail.startswith(f"{named}: ")


def test_a_rejection_quotes_no_more_than_a_person_reads() -> None:
    trigger = {"v": 1, "board_id": "b", "triggered_at": "x" * 100_000, "source": "plc"}
    with pytest.raises(MessageRejected) as caught:
        decode_json(Trigger, json.dumps(trigger).encode())
    assert len(str(caught.value)) < 350


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"not json", b'{"v": 1}x', b"[" * 5000])
def test_what_is_not_json(payload: bytes) -> None:
    assert rejected_json(Trigger, payload).reason == "not_json"


def test_a_byte_order_mark_is_named() -> None:
    assert "byte order mark" in rejected_json(Trigger, b"\xef\xbb\xbf" + encode_json(EXAMPLES[0])).detail


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x81\xa1", b"\x91" * 5000, b"\x80\x80"])
def test_what_is_not_msgpack(payload: bytes) -> None:
    assert rejected_msgpack(Frame, payload).reason == "not_msgpack"


@pytest.mark.parametrize("document", [None, 1, "text", [], [1]])
def test_what_is_not_a_map(document: object) -> None:
    assert rejected_json(Trigger, document).reason == "schema"
    assert rejected_msgpack(Frame, document).reason == "schema"


def test_a_payload_over_the_limit_is_not_even_read() -> None:
    assert rejected_json(Trigger, b"[" * (MAX_JSON_BYTES + 1)).reason == "too_large"
    with pytest.raises(MessageRejected, match="too_large: 11 bytes, the limit is 10"):
        decode_msgpack(Frame, bytes(11), limit=10)


NUMBERS = st.integers(min_value=-(2**63), max_value=2**64 - 1)  # what MessagePack can write
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FUZZ = settings(max_examples=40, derandomize=True, deadline=None)


@pytest.mark.parametrize("kind", [type(example) for example in EXAMPLES], ids=lambda kind: kind.__name__)
@given(payload=st.binary(max_size=200))
@FUZZ
def test_any_bytes_are_a_message_or_rejected(kind: type[Message], payload: bytes) -> None:
    for decode in (decode_json, decode_msgpack):
        with suppress(MessageRejected):
            assert isinstance(decode(kind, payload), kind)


@pytest.mark.parametrize("example", TEXT, ids=lambda each: type(each).__name__)
@given(data=st.data())
@FUZZ
def test_any_value_in_a_json_field_gives_a_message_or_rejection(example: Message, data: st.DataObject) -> None:
    document = wire(example)
    document[data.draw(st.sampled_from([*document, "sides"]))] = data.draw(VALUES)
    with suppress(MessageRejected):
        encode_json(decode_json(type(example), json.dumps(document).encode()))


@pytest.mark.parametrize("example", BINARY, ids=lambda each: type(each).__name__)
@given(data=st.data())
@FUZZ
def test_any_value_in_a_msgpack_field_gives_a_message_or_rejection(example: Message, data: st.DataObject) -> None:
    document = example.model_dump()
    document[data.draw(st.sampled_from([*document]))] = data.draw(VALUES | st.binary(max_size=8))
    with suppress(MessageRejected):
        encode_msgpack(decode_msgpack(type(example), msgpack.packb(document)))


HOSTILE: list[Any] = [
    *(1.5e308, -1.5e308, 10**400, -(10**400), 2**63, -(2**63), 2**53 + 1, 1e9, -0.0, 5e-324, 65_536, True, None),
    *("", "\0", "a\0b", "a\x1fb", "\x7f", " ", "\u2028", "\U0001f4a5", "x" * 5000, "\\ud800"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:60-23:59", "2199-12-31T23:59:59.999999999999Z"),
    *([], {}, nested(50), {"a": nested(150)}, {"\0": 1}, {"k" * 5000: 1}, {"n": [10**4000, -1.5e308]}),
]


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a value may be replaced."""
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(document[key], (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


def values_in(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        data = [*data.keys(), *data.values()]
    if isinstance(data, list | tuple):
        for each in data:
            yield from values_in(each)
    else:
        yield data


@pytest.mark.parametrize("example", TEXT, ids=lambda each: type(each).__name__)
def test_whatever_is_read_can_be_stored(example: Message) -> None:
    for path in places(wire(example)):
        for value in HOSTILE:
            payload = json.dumps(replaced(wire(example), path, value)).encode()
            with suppress(MessageRejected):
                read = decode_json(type(example), payload)
                assert decode_json(type(example), encode_json(read)) is not None
                assert json.dumps(read.model_dump(), allow_nan=False).count("[[[[[[[[[[[") == 0
                for each in values_in(read.model_dump()):
                    assert not isinstance(each, int | float) or abs(each) < 2**63
                    assert not isinstance(each, str) or (len(each) <= MAX_TEXT and not set(each) & set("\0\n\x1f\x7f"))


class Batch:
    """What a caller works on; it keeps the rejections."""

    def __init__(self) -> None:
        self.rejections: list[MessageRejected] = []

    def read(self, payload: bytes) -> None:
        try:
            decode_json(Trigger, payload)
        except MessageRejected as rejection:
            self.rejections.append(rejection)


def test_a_rejection_that_is_kept_does_not_keep_its_callers_for_ever() -> None:
    batch = Batch()
    batch.read(b'{"v": 1, "board_id": "b", "triggered_at": "yesterday", "source": "s"}')
    assert len(batch.rejections) == 1
    gone = weakref.ref(batch)
    del batch
    gc.collect()
    assert gone() is None
