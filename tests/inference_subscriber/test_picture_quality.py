"""A side whose picture shows nothing is unjudged, with the reason; the node says what it sees, once."""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import cv2
import numpy as np
import pytest
from support.board_pictures import HEIGHT, WIDTH, cut, flat, good, jpeg_of, noisy
from support.probe import Probe

from inference_subscriber.receiving import Cameras
from inference_subscriber.service import InferenceService
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.seeing.health import BLACK, COVERED, TORN, Flaw, sharpness

StartService = Callable[..., InferenceService]
Line = Any  # see conftest

GOOD = jpeg_of(good())
SIZE = {"width": WIDTH, "height": HEIGHT}
SHOW_NOTHING = {
    "black": jpeg_of(noisy(flat(4, 4, 4))),
    "covered": jpeg_of(noisy(flat(60, 80, 160))),
    "overexposed": jpeg_of(flat(255, 255, 255)),
    "start-up": jpeg_of(flat(0, 135, 0)),
    "torn": cut(GOOD, 0.5),
}


def with_short(image: np.ndarray) -> bytes:
    red = image.copy()
    red[200:216, 300:330] = (0, 0, 255)
    return jpeg_of(red)


@pytest.fixture
def running(line: Line, start_service: StartService) -> Line:
    start_service(evidence_share=0, sharpness={"left": sharpness(good())})
    line.viewer.wait_for("pcb/status/inference", lambda each: b'"online"' in each.payload)
    return line


@pytest.fixture
def recorder(mqtt_probe: Callable[..., Probe]) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe("pcb/event/inference")
    return probe


def judge(line: Line, board_id: str, left: bytes, right: bytes = GOOD, **fields: Any) -> dict[str, Any]:
    at = line.trigger(board_id)
    for side, jpeg in (("left", left), ("right", right)):
        line.show(side, jpeg, board_id=board_id, triggered_at=at, quality=None, **SIZE, **fields)
    verdict: dict[str, Any] = line.verdict_on(board_id)
    return verdict


def events(probe: Probe, number: int) -> list[dict[str, Any]]:
    return [json.loads(each.payload) for each in probe.wait_for_count("pcb/event/inference", number)]


@pytest.mark.parametrize("kind", SHOW_NOTHING)
def test_a_side_that_shows_nothing_is_unjudged_and_says_why(running: Line, kind: str) -> None:
    verdict = judge(running, "b", SHOW_NOTHING[kind])
    assert (verdict["category"], verdict["status"], verdict["confidence"]) == ("unjudged", "incomplete", 0.0)
    left, right = verdict["left"], verdict["right"]
    assert left["quality"].startswith(f"{kind}: ")
    assert (left["category"], left["defect_type"], left["boxes"], left["coverage"]) == ("unjudged", "미판정", [], 0.0)
    assert (right["category"], right["quality"], right["coverage"]) == ("normal", None, 1.0)
    running.recorder.wait_for_count("pcb/evidence/+", 2)  # people want to see it


def test_a_softer_one_than_at_the_set_up_is_blurred(running: Line) -> None:
    soft = jpeg_of(noisy(cv2.GaussianBlur(good(), (0, 0), 3)))
    verdict = judge(running, "b", soft, soft)
    assert verdict["left"]["quality"].startswith("blurred: ")
    assert verdict["right"]["category"] == "normal", "of that side no sharpness is given"


def test_a_defect_on_the_other_side_counts(running: Line) -> None:
    verdict = judge(running, "b", SHOW_NOTHING["black"], with_short(good()))
    assert (verdict["category"], verdict["status"]) == ("solder", "incomplete")
    assert verdict["left"]["category"] == "unjudged"


def test_it_is_one_event_and_the_node_says_so_until_it_is_over(running: Line, recorder: Probe) -> None:
    boards = (f"b{number}" for number in count())
    for _ in range(4):
        judge(running, next(boards), SHOW_NOTHING["black"])
    status = running.viewer.wait_for("pcb/status/inference", lambda each: b'"degraded"' in each.payload)
    assert json.loads(status.payload)["detail"] == f"left cannot be inspected: {BLACK}"
    for _ in range(5):
        assert judge(running, next(boards), GOOD)["category"] == "normal"
    began, ended = events(recorder, 2)
    assert (began["level"], began["message"]) == ("warning", f"left cannot be inspected: {BLACK}")
    assert began["details"] == {"side": "left", "quality": "black"}
    assert (ended["level"], ended["message"]) == ("info", "pictures of left are good again")


def test_a_camera_that_sends_the_same_picture_for_ever_is_frozen(running: Line) -> None:
    """A stranger's: its frames say nothing of their quality."""
    begin, found = now_ns() - NS_PER_S, []
    for number, late_s in enumerate((0.0, 0.5, 1.0, 1.5)):
        board_id, at = f"b{number}", begin + round(late_s * NS_PER_S)
        running.trigger(board_id)
        for side, jpeg in (("left", GOOD), ("right", jpeg_of(noisy(good(), number + 1)))):
            running.show(side, jpeg, board_id=board_id, captured_at=at, **SIZE)
        found.append(running.verdict_on(board_id))
    assert [each["category"] for each in found] == ["normal", "normal", "unjudged", "unjudged"]
    assert found[3]["left"]["quality"].startswith("frozen: ")


def test_black_frames_of_no_board_are_none_but_tell_of_the_camera(running: Line) -> None:
    for ago_s in (1.9, 0.5):  # none within a second of either: a good one would be a board by itself
        at = now_ns() - round(ago_s * NS_PER_S)
        running.show("left", SHOW_NOTHING["black"], captured_at=at, quality=None, **SIZE)
    status = running.viewer.wait_for("pcb/status/inference", lambda each: b'"degraded"' in each.payload)
    assert json.loads(status.payload)["detail"] == f"left cannot be inspected: {BLACK}"
    running.trigger("after-them")
    running.verdict_on("after-them")
    assert len(running.verdicts(1)) == 1


def frame(jpeg: bytes, at: int, **fields: Any) -> Frame:
    own = {"side": "left", "board_id": None, "triggered_at": None, "frame_id": "f"}
    return Frame(**own, captured_at=at, jpeg=jpeg, **SIZE, **fields)


class TestCameras:
    def test_an_edge_knows_better_what_may_repeat(self) -> None:
        cameras, seconds = Cameras({}, lambda side, flaw: None), range(0, 9 * NS_PER_S, NS_PER_S)
        assert {cameras.look(frame(GOOD, at, quality=None), good()) for at in seconds} == {None}
        frozen = cameras.look(frame(GOOD, 0, quality="frozen: for 4 s"), good())
        assert frozen == Flaw("frozen", "for 4 s")
        strange = cameras.look(frame(GOOD, 0, quality="the lens is wet"), good())
        assert str(strange) == "other: the lens is wet"

    def test_an_empty_belt_neither_begins_nor_ends_what_only_boards_tell(self) -> None:
        told: list[tuple[str, Flaw | None]] = []
        cameras, belt = Cameras({}, lambda *each: told.append(each)), noisy(flat(60, 60, 60))
        assert cameras.glance(frame(GOOD, 0, quality=None), belt) == COVERED
        assert told == []
        cameras.look(frame(GOOD, 0, quality=None), None)
        for image in (good(), belt) * 5:
            cameras.glance(frame(GOOD, 0, quality=None), image)
        assert told == [("left", TORN)]

    def test_what_any_picture_tells_ends_with_any(self) -> None:
        told: list[tuple[str, Flaw | None]] = []
        cameras = Cameras({}, lambda *each: told.append(each))
        for image in (flat(0, 0, 0), *[good()] * 5):
            cameras.glance(frame(GOOD, 0, quality=None), image)
        assert told == [("left", BLACK), ("left", None)]

    def test_what_lasts_is_told_as_it_changes(self) -> None:
        told: list[tuple[str, Flaw | None]] = []
        cameras = Cameras({}, lambda *each: told.append(each))
        for image in (good(), None, None, flat(0, 0, 0), good(), None, *[good()] * 5):
            cameras.look(frame(GOOD, 0, quality=None), image)
        assert told == [("left", TORN), ("left", None)]
