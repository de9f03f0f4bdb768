"""Messages to rows, and what is said of them once they are committed."""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.contract.codec import encode_msgpack
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Actuation, Event, Evidence, RecipeRef, Serial, SideResult, Trigger, Verdict
from pcb_bus.contract.times import from_rfc3339
from pcb_bus.errors import MessageRejected
from recorder.rows import (
    PAYLOAD_KEPT,
    actuation_record,
    deciding_camera,
    event_record,
    picture_path,
    read,
    recorded_messages,
    rejected_record,
    trigger_record,
    verdict_record,
)
from recorder.spool import Arrival, Kind
from records import tables

AT = 1_795_248_000_123_000_000
MOMENT = datetime(2026, 11, 21, 8, 0, 0, 123_000, UTC)
SEOUL = ZoneInfo("Asia/Seoul")
WHY = MessageRejected("schema", "confidence: too large")
WHEN = "2026-11-21T08:00:00.123Z"
KINDS: list[Kind] = ["trigger", "verdict", "serial", "actuation", "evidence", "event"]


@pytest.mark.parametrize(
    ("category", "left", "right", "decides"),
    [
        ("solder", "solder", "normal", "left"),
        ("scrap", "solder", "scrap", "right"),
        ("scrap", "scrap", "scrap", "both"),
        ("normal", "normal", "normal", "both"),
        ("unjudged", "normal", "normal", "both"),
    ],
)
def test_deciding_camera_is_the_side_whose_category_won(
    make_verdict: Callable[..., Verdict], category: str, left: str, right: str, decides: str
) -> None:
    assert deciding_camera(make_verdict(left=left, right=right, category=category)) == decides


def test_the_only_side_that_was_seen_decides(
    make_verdict: Callable[..., Verdict], make_side: Callable[..., SideResult]
) -> None:
    verdict = make_verdict(sides={"left": None, "right": make_side("right", "solder")}, status="incomplete")
    record = verdict_record(verdict, "pcb", SEOUL, AT)
    assert record.rows[0]["camera_id"] == "right"
    assert [row["camera_id"] for row in record.sides] == ["right"]


def test_an_inspection_holds_what_the_verdict_says(make_verdict: Callable[..., Verdict]) -> None:
    recipe = RecipeRef(name="r" * 128, version="v" * 128)
    record = verdict_record(make_verdict(serial="SN-7", product="A1", recipe=recipe), "pcb/line2", SEOUL, AT)
    (row,) = record.rows
    assert {name: row[name] for name in ("line", "serial", "product", "recipe", "model", "gpio_pin")} == {
        "line": "pcb/line2",
        "serial": "SN-7",
        "product": "A1",
        "recipe": "r" * 128,
        "model": "starter",
        "gpio_pin": 27,
    }
    assert (row["defect_type"], row["category"], row["camera_id"], row["status"]) == (
        "납땜불량",
        "solder",
        "left",
        "ok",
    )
    box = {"camera_id": "left", "x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0, "confidence": 0.9}
    assert row["boxes"] == [{**box, "class": "short"}]
    assert record.defects == [
        {**box, "class_name": "short", "line": "pcb/line2", "inspection_time": row["inspection_time"]}
    ]


def test_times_are_those_of_the_line_and_utc(make_verdict: Callable[..., Verdict]) -> None:
    late = from_rfc3339("2026-11-21T15:30:00.123Z")
    (row,) = verdict_record(make_verdict(captured_at=late), "pcb", SEOUL, AT).rows
    assert row["inspection_time"] == datetime(2026, 11, 22, 0, 30, 0, 123_000)  # noqa: DTZ001
    assert row["local_date"] == date(2026, 11, 22)
    assert row["captured_at"] == datetime(2026, 11, 21, 15, 30, 0, 123_000, UTC)
    assert row["received_at"] == MOMENT


def test_an_unjudged_board_has_no_gate(make_verdict: Callable[..., Verdict]) -> None:
    (row,) = verdict_record(make_verdict(category="unjudged", gpio_signal=None, sides={}), "pcb", SEOUL, AT).rows
    assert (row["gpio_pin"], row["gpio_duration_ms"], row["boxes"], row["recipe"]) == (None, None, [], None)


def test_a_side_that_could_not_be_inspected_says_why(make_verdict: Callable[..., Verdict]) -> None:
    verdict = make_verdict()
    left = verdict.sides["left"]
    assert left is not None
    dark = left.model_copy(update={"coverage": 0.0, "quality": "black: no light"})
    seen = verdict.model_copy(update={"sides": {**verdict.sides, "left": dark}})
    record = verdict_record(seen, "pcb/line2", SEOUL, AT)
    found = {row["camera_id"]: (row["coverage"], row["quality"]) for row in record.sides}
    assert found == {"left": (0.0, "black: no light"), "right": (None, None)}


def test_a_camera_that_reports_two_sides_has_one_row(
    make_verdict: Callable[..., Verdict], make_side: Callable[..., SideResult]
) -> None:
    verdict = make_verdict(sides={"left": make_side("left"), "again": make_side("left")})
    assert len(verdict_record(verdict, "pcb", SEOUL, AT).sides) == 1


def test_a_gate_that_stayed_shut_has_no_time(make_actuation: Callable[..., Actuation]) -> None:
    report = make_actuation(outcome="late", fired_at=None, duration_ms=None, latency_ms=None, pin=None)
    (row,) = actuation_record(report, "pcb", AT).rows
    assert (row["outcome"], row["fired_at"], row["received_at"]) == ("late", None, MOMENT)


def test_that_a_verdict_came_again_is_not_named_as_its_report(make_actuation: Callable[..., Actuation]) -> None:
    assert actuation_record(make_actuation(outcome="duplicate"), "pcb", AT).named is None
    assert actuation_record(make_actuation(), "pcb", AT).named == ("actuations", "verdict-1")


def test_the_same_event_twice_has_the_same_digest() -> None:
    event = Event(level="error", source="edge-left", message="camera gone", details={"source": "0"}, at=AT)
    first, again, other = (event_record(event, "pcb", payload).rows[0]["digest"] for payload in (b"1", b"1", b"2"))
    assert first == again != other


def test_an_announced_board_is_open_under_the_id_that_its_verdict_will_have() -> None:
    trigger = Trigger(board_id="board-1", triggered_at=AT, source="plc", product="controller")
    record = trigger_record(trigger, "line/2", AT + 1_000_000)
    assert record.rows == [
        {
            "line": "line/2",
            "verdict_id": verdict_id("line/2", "board-1", AT),
            "board_id": "board-1",
            "source": "plc",
            "product": "controller",
            "triggered_at": MOMENT,
            "received_at": MOMENT.replace(microsecond=124_000),
            "open": True,
        }
    ]
    assert record.named == ("triggers", verdict_id("line/2", "board-1", AT))


def test_a_serial_belongs_to_the_pass_whose_id_the_verdict_will_have(arrive: Callable[..., Arrival]) -> None:
    serial = Serial(
        side="left", board_id="board-1", triggered_at=AT, serial="A-7", symbology="datamatrix", product="controller"
    )
    record = read(arrive("serial", serial, "line/2/serial/left"), "line/2", SEOUL, ["left", "right"])
    assert record.rows == [
        {
            "line": "line/2",
            "verdict_id": verdict_id("line/2", "board-1", AT),
            "board_id": "board-1",
            "camera_id": "left",
            "serial": "A-7",
            "symbology": "datamatrix",
            "product": "controller",
            "conflict": None,
            "received_at": MOMENT,
        }
    ]
    assert (record.table, record.named) == (tables.Serial, None)


@pytest.mark.parametrize(("side", "reason"), [("top", "unknown_side"), ("right", "side_mismatch")])
def test_a_serial_of_another_side_is_rejected(arrive: Callable[..., Arrival], side: str, reason: str) -> None:
    serial = Serial(side=side, board_id="board-1", triggered_at=AT, serial="A-7", symbology="qr")
    with pytest.raises(MessageRejected) as rejection:
        read(arrive("serial", serial, "pcb/serial/left"), "pcb", SEOUL, ["left", "right"])
    assert rejection.value.reason == reason


def png(width: int = 80, height: int = 60) -> bytes:
    size = width.to_bytes(4) + height.to_bytes(4)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + size + b"\0\0\0\0IEND\xaeB`\x82"


def test_a_picture_and_its_heat_map_have_a_row_each_and_wait_for_their_store(
    make_evidence: Callable[..., Evidence], arrive: Callable[..., Arrival]
) -> None:
    evidence = make_evidence(heat_map=png())
    record = read(arrive("evidence", encode_msgpack(evidence)), "pcb", SEOUL, ["left"])
    assert (record.table, record.named) == (tables.DefectImage, ("evidence", "verdict-1/left"))
    frame, heat = record.rows
    assert [(row["kind"], row["state"], row["width"], row["height"]) for row in record.rows] == [
        ("frame", "pending", 640, 480),
        ("heat", "pending", 80, 60),
    ]
    assert frame["sha256"] == hashlib.sha256(evidence.jpeg).hexdigest()
    assert frame["path"] == picture_path("pcb", "verdict-1", "left", "frame", date(2026, 11, 21))
    assert (frame["path"][:11], frame["path"][-4:], heat["path"][-4:]) == ("2026-11-21/", ".jpg", ".png")
    assert len(frame["path"]) == len("2026-11-21/") + 40 + len(".jpg")


def test_each_picture_has_a_name_of_its_own() -> None:
    day = date(2026, 11, 21)
    paths = {
        picture_path(line, verdict, side, kind, day)  # type: ignore[arg-type]
        for line in ("pcb", "pcb2")
        for verdict in ("a", "b")
        for side in ("left", "right")
        for kind in ("frame", "heat")
    }
    assert len(paths) == 16


@pytest.mark.parametrize(
    ("jpeg", "heat_map", "reason"),
    [
        (png(), None, "not_jpeg"),
        (None, b"\xff\xd8\xff\xd9", "not_png"),
        (None, png()[:-4], "truncated_png"),
        (None, png(height=0), "empty_image"),
        (None, png(60_000, 60_000), "too_many_pixels"),
    ],
)
def test_what_is_no_picture_is_rejected(
    make_evidence: Callable[..., Evidence],
    arrive: Callable[..., Arrival],
    jpeg: bytes | None,
    heat_map: bytes | None,
    reason: str,
) -> None:
    evidence = make_evidence(heat_map=heat_map)
    evidence = evidence.model_copy(update={"jpeg": jpeg or evidence.jpeg})
    with pytest.raises(MessageRejected) as caught:
        read(arrive("evidence", encode_msgpack(evidence)), "pcb", SEOUL, ["left"])
    assert caught.value.reason == reason


def test_a_picture_of_a_side_that_the_line_does_not_have_is_rejected(
    make_evidence: Callable[..., Evidence], arrive: Callable[..., Arrival]
) -> None:
    with pytest.raises(MessageRejected, match="not a side of this line"):
        read(arrive("evidence", encode_msgpack(make_evidence(side="top"))), "pcb", SEOUL, ["left"])


def test_a_rejected_message_has_the_reason_and_the_beginning_of_its_payload(arrive: Callable[..., Arrival]) -> None:
    payload = b"x" * (PAYLOAD_KEPT + 1)
    record = rejected_record(arrive("verdict", payload), WHY, "pcb")
    (row,) = record.rows
    assert (row["line"], row["kind"], row["topic"]) == ("pcb", "verdict", "pcb/verdict")
    assert (row["reason"], row["detail"]) == ("schema", "confidence: too large")
    assert (len(row["payload"]), row["size_bytes"], row["verdict_id"]) == (PAYLOAD_KEPT, PAYLOAD_KEPT + 1, None)
    assert row["digest"] == hashlib.sha256(b"pcb/verdict\0" + payload).hexdigest()
    assert record.rejection is WHY


def test_what_is_rejected_fits_its_columns() -> None:
    arrival = Arrival("verdict", "t" * 999, b"", AT)
    (row,) = rejected_record(arrival, MessageRejected("r" * 99, "\ud800" + "d" * 99_999), "pcb").rows
    assert [len(row[column]) for column in ("topic", "reason")] == [255, 64]
    assert row["detail"].startswith("?d")
    assert len(row["detail"]) < 65_536


def test_topic_and_payload_make_the_digest_apart() -> None:
    arrivals = [Arrival("event", topic, payload, AT) for topic, payload in (("a", b"bc"), ("ab", b"c"), ("a", b"bd"))]
    assert len({rejected_record(each, WHY, "pcb").rows[0]["digest"] for each in arrivals}) == 3


@pytest.mark.parametrize(
    ("kind", "payload", "named"),
    [
        ("verdict", {"verdict_id": "v", "category": 7}, ("verdicts", "v")),
        ("actuation", {"verdict_id": "v"}, ("actuations", "v")),
        ("trigger", {"board_id": "b", "triggered_at": WHEN}, ("triggers", verdict_id("pcb", "b", from_rfc3339(WHEN)))),
        ("evidence", {"verdict_id": "v", "side": "left"}, ("evidence", "v/left")),
        ("evidence", {"verdict_id": "v"}, None),
        ("event", {"verdict_id": "v"}, None),
        ("serial", {"board_id": "b", "triggered_at": WHEN}, None),
    ],
)
def test_a_sender_hears_of_what_was_rejected_as_of_what_was_recorded(
    kind: Kind, payload: dict[str, Any], named: tuple[str, str] | None
) -> None:
    encoded = msgpack.packb(payload) if kind == "evidence" else json.dumps(payload).encode()
    assert rejected_record(Arrival(kind, "", encoded, AT), WHY, "pcb").named == named


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"verdict_id": 7}',
        b'{"verdict_id": "\\ud800"}',
        b'{"verdict_id": "\\u0000"}',
        b'{"verdict_id": "a "}',
        b'{"verdict_id": "%s"}' % (b"a" * 129),
        b'{"board_id": "a", "triggered_at": 7}',
        b'{"board_id": "\\ud800", "triggered_at": "2026-11-21T08:00:00Z"}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_has_no_id_is_not_named(kind: Kind, payload: bytes) -> None:
    record = rejected_record(Arrival(kind, "", payload, AT), WHY, "pcb")
    assert (record.rows[0]["verdict_id"], record.named) == (None, None)


@given(
    st.sampled_from(KINDS),
    st.binary()
    | st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5).map(
        lambda value: json.dumps({"verdict_id": value, "board_id": value, "triggered_at": value}).encode()
    ),
)
def test_anything_has_a_row(kind: Kind, payload: bytes) -> None:
    (row,) = rejected_record(Arrival(kind, f"pcb/{kind}", payload, 0), WHY, "pcb").rows
    assert row["payload"] == payload
    assert row["verdict_id"] is None or row["verdict_id"].encode()


def test_every_id_is_named_once_in_its_list() -> None:
    named = [("verdicts", "a"), ("actuations", "b"), ("verdicts", "a"), ("triggers", "c"), ("evidence", "a/left")]
    (message,) = recorded_messages(named)
    assert (message.verdicts, message.actuations, message.triggers) == (("a",), ("b",), ("c",))
    assert message.evidence == ("a/left",)


def test_many_ids_are_several_messages() -> None:
    messages = list(recorded_messages(("verdicts", str(number)) for number in range(450)))
    assert [len(message.verdicts) for message in messages] == [200, 200, 50]
    assert list(recorded_messages([])) == []
