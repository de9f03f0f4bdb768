"""The audit of the contents finds each row, statistic and picture that was spoiled by hand."""

import json
from dataclasses import replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.verdicts import verdict

from faults.contents import Contents, Picture, spoiled, without_pictures
from pcb_bus.contract.messages import Box, GpioSignal, SideResult
from pcb_bus.contract.times import NS_PER_MS

AT = datetime.fromisoformat
SEOUL = ZoneInfo("Asia/Seoul")
JPEG = b"the left side"
BOX = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0, "confidence": 0.9}
SIDE = SideResult(
    camera_id="left",
    frame_id="f",
    captured_at=1000 * NS_PER_MS,
    defect_type="납땜불량",
    category="solder",
    confidence=0.9,
    boxes=(Box(**BOX, class_name="short"),),
    anomaly_score=None,
    inference_time_ms=1.0,
)
VERDICT = verdict(
    "b", "solder", sides={"left": SIDE, "right": None}, gpio_signal=GpioSignal(pin=27, action="HIGH", duration_ms=300)
)
UTC_TIME, LOCAL_TIME = AT("1970-01-01T00:00:01"), AT("1970-01-01T09:00:01")
ROW: dict[str, Any] = {
    "id": 1,
    "verdict_id": VERDICT.verdict_id,
    "board_id": "b",
    "serial": None,
    "product": None,
    "defect_type": "x",
    "category": "solder",
    "confidence": 1.0,
    "status": "ok",
    "gpio_pin": 27,
    "gpio_duration_ms": 300,
    "latency_ms": 40.0,
    "model": VERDICT.model.name,
    "model_sha256": VERDICT.model.sha256,
    "captured_at": UTC_TIME,
    "judged_at": AT("1970-01-01T00:00:01.040"),
    "inspection_time": LOCAL_TIME,
    "local_date": date(1970, 1, 1),
    "boxes": json.dumps([{"camera_id": "left", "class": "short", **BOX}]),
}
DEFECT = {"inspection_id": 1, "inspection_time": LOCAL_TIME, "camera_id": "left", "class_name": "short", **BOX}
PICTURE = Picture(VERDICT.verdict_id, "left", "frame", "stored", "1970-01-01/p.jpg", sha256(JPEG).hexdigest())
HOUR = AT("1970-01-01T09:00")
GOOD = Contents(
    inspections=(ROW,),
    sides=({"inspection_id": 1, **SIDE.model_dump(exclude={"boxes"})},),
    defects=(DEFECT,),
    board_statistics=({"begins_at": HOUR, "category": "solder", "boards": 1, "incomplete": 0},),
    defect_statistics=({"begins_at": HOUR, "camera_id": "left", "class_name": "short", "boxes": 1},),
    pictures=(PICTURE,),
    zone=SEOUL,
)
HEARD = {VERDICT.verdict_id: [VERDICT]}
FILES = {PICTURE.path: JPEG}


def changed(part: str, *rows: Any) -> Contents:
    names: dict[str, Any] = {part: rows}
    return replace(GOOD, **names)


def found(contents: Contents, files: dict[str, bytes] = FILES) -> list[str]:
    return spoiled(contents, HEARD, files.get)


def test_what_was_sent_and_kept_is_in_order() -> None:
    assert found(GOOD) == []
    assert without_pictures(GOOD.pictures, HEARD, HEARD) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("board_id", "another"),
        ("serial", "s"),
        ("defect_type", "정상"),
        ("confidence", 0.5),
        ("status", "incomplete"),
        ("gpio_pin", None),
        ("latency_ms", None),
        ("captured_at", LOCAL_TIME),
        ("inspection_time", UTC_TIME),
        ("local_date", date(1970, 1, 2)),
        ("boxes", "[]"),
    ],
)
def test_a_row_that_was_spoiled(column: str, value: object) -> None:
    assert any(column in line for line in found(replace(GOOD, inspections=({**ROW, column: value},))))


@pytest.mark.parametrize("part", ["sides", "defects"])
def test_what_belongs_to_a_row_and_is_gone(part: str) -> None:
    assert any(part in line for line in found(changed(part)))


def test_a_row_may_follow_any_of_two_verdicts_with_one_id() -> None:
    other = VERDICT.model_copy(update={"confidence": 0.1})
    assert spoiled(GOOD, {VERDICT.verdict_id: [other, VERDICT]}, FILES.get) == []


@pytest.mark.parametrize("part", ["board_statistics", "defect_statistics"])
@pytest.mark.parametrize("count", [0, 2])
def test_statistics_that_were_spoiled(part: str, count: int) -> None:
    (row,) = getattr(GOOD, part)
    assert found(changed(part, {**row, "boards": count, "boxes": count}))
    assert found(changed(part))


def test_a_picture_that_is_gone_or_another() -> None:
    assert "is not in the store" in found(GOOD, {})[0]
    assert "is another" in found(GOOD, {PICTURE.path: b"right"})[0]


@pytest.mark.parametrize("state", ["pending", "removing", "removed"])
def test_a_board_that_was_not_normal_has_a_picture_of_each_side_that_was_seen(state: str) -> None:
    assert without_pictures((replace(PICTURE, state=state),), HEARD, HEARD) == ["b: no picture of its left side"]
    assert without_pictures((), HEARD, ()) == []  # made up
