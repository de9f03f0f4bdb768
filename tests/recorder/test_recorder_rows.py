"""Messages to rows."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pcb_bus.contract.messages import Actuation, Event, SideResult, Trigger, Verdict
from recorder.rows import (
    PAYLOAD_KEPT,
    actuation_row,
    deciding_camera,
    inspection_row,
    log_row,
    rejected_row,
    side_rows,
    trigger_row,
)

AT = 1_795_248_000_123_000_000
MOMENT = datetime(2026, 11, 21, 8, 0, 0, 123_000, UTC)


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
    assert deciding_camera(verdict) == "right"
    assert [row["camera_id"] for row in side_rows(verdict)] == ["right"]


def test_an_inspection_holds_what_the_verdict_says(make_verdict: Callable[..., Verdict]) -> None:
    row = inspection_row(make_verdict(serial="SN-7"), received_at=AT)
    assert row["inspection_time"] == row["received_at"] == MOMENT
    assert (row["defect_type"], row["category"], row["camera_id"], row["status"]) == (
        "납땜불량",
        "solder",
        "left",
        "ok",
    )
    assert (row["gpio_pin"], row["gpio_duration_ms"], row["model"], row["serial"]) == (27, 500, "starter", "SN-7")
    assert row["boxes"] == [
        {"camera_id": "left", "x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0, "confidence": 0.9, "class": "short"}
    ]


def test_an_unjudged_board_has_no_gate(make_verdict: Callable[..., Verdict]) -> None:
    row = inspection_row(make_verdict(category="unjudged", gpio_signal=None, sides={}), received_at=AT)
    assert (row["gpio_pin"], row["gpio_duration_ms"], row["boxes"]) == (None, None, [])


def test_a_camera_that_reports_two_sides_has_one_row(
    make_verdict: Callable[..., Verdict], make_side: Callable[..., SideResult]
) -> None:
    verdict = make_verdict(sides={"left": make_side("left"), "again": make_side("left")})
    assert len(side_rows(verdict)) == 1


def test_a_gate_that_stayed_shut_has_no_time(make_actuation: Callable[..., Actuation]) -> None:
    report = make_actuation(outcome="late", fired_at=None, duration_ms=None, latency_ms=None, pin=None)
    row = actuation_row(report, received_at=AT)
    assert (row["outcome"], row["fired_at"], row["received_at"]) == ("late", None, MOMENT)


def test_the_same_event_twice_has_the_same_digest() -> None:
    event = Event(level="error", source="edge-left", message="camera gone", details={"source": "0"}, at=AT)
    assert log_row(event, b"one")["digest"] == log_row(event, b"one")["digest"] != log_row(event, b"two")["digest"]


def test_an_announced_board_is_open() -> None:
    row = trigger_row(Trigger(board_id="board-1", triggered_at=AT, source="plc"), "verdict-1", AT + 1_000_000)
    assert row == {
        "verdict_id": "verdict-1",
        "board_id": "board-1",
        "source": "plc",
        "triggered_at": MOMENT,
        "received_at": MOMENT.replace(microsecond=124_000),
        "open": True,
    }


def test_a_rejected_message_keeps_its_beginning_and_its_size() -> None:
    payload = b"x" * (PAYLOAD_KEPT + 1)
    row = rejected_row("verdict", "pcb/verdict", payload, "json", "not JSON", None, AT)
    assert (len(row["payload"]), row["size_bytes"], row["received_at"]) == (PAYLOAD_KEPT, PAYLOAD_KEPT + 1, MOMENT)
    assert row["digest"] == hashlib.sha256(b"pcb/verdict\0" + payload).hexdigest()


def test_what_is_rejected_fits_its_columns() -> None:
    row = rejected_row("k" * 99, "t" * 999, b"", "r" * 99, "\ud800" + "d" * 99_999, "i" * 129, AT)
    assert [len(row[column]) for column in ("kind", "topic", "reason")] == [16, 255, 64]
    assert row["detail"].startswith("?d")
    assert len(row["detail"]) < 65_536
    assert row["verdict_id"] is None


def test_topic_and_payload_make_the_digest_apart() -> None:
    digests = {
        rejected_row("event", topic, payload, "json", "", None, AT)["digest"]
        for topic, payload in (("a", b"bc"), ("ab", b"c"), ("a", b"bd"))
    }
    assert len(digests) == 3
