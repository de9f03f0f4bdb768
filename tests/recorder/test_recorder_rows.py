"""Messages to rows."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from pcb_bus.messages import Actuation, Event, SideResult, Verdict
from recorder.rows import actuation_row, deciding_camera, inspection_row, log_row, side_rows

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
