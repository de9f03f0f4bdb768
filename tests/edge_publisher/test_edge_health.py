"""An edge whose pictures show nothing says so, once, and opens its camera again where that can help."""

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.board_pictures import cut, flat, good, jpeg_of, noisy
from support.hand_fed import HandFed
from support.peer import until
from support.probe import Probe

from broker import Broker
from edge_publisher.health import PictureHealth
from edge_publisher.sources import Picture
from edge_publisher.sources.opening import how_long_the_same
from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings
from pcb_bus.seeing.health import sharpness

FRAMES, STATUS, EVENTS = "pcb/frame/left", "pcb/status/edge-left", "pcb/event/edge-left"
OpenProbe = Callable[..., Probe]


def picture(at: int, image: Any, *, coded: bool = False) -> Picture:
    height, width = image.shape[:2]
    jpeg = jpeg_of(image) if coded else None
    return Picture(at, width, height, image=None if coded else np.asarray(image, np.uint8), jpeg=jpeg)


class Watched:
    """`PictureHealth` of a node that is not started: the test tells the time."""

    def __init__(self, broker: Broker, frozen_after_ns: int | None = NS_PER_S, usual: float | None = None) -> None:
        settings = LineSettings(broker=BrokerSettings(port=broker.port, credentials=broker.credentials_folder))
        self.node = Service("edge_publisher", "edge-left", settings)
        self.reopened = 0
        self.health = PictureHealth(self.node, self._reopen, frozen_after_ns, usual)
        self.health.opened(0.0)
        self._at = 0

    def show(self, at_s: float, image: Any, *, of_board: bool = False, coded: bool = False) -> str:
        """The camera gives this, and somebody looks; what the node says then."""
        shown = picture(round(at_s * NS_PER_S), image, coded=coded)
        self.health.arrived(shown)
        if of_board:
            self.health.quality(shown, of_board=True)
        self.health._next_look = 0.0
        self.health.look(at_s)
        return self.node.health["pictures"]

    def _reopen(self) -> None:
        self.reopened += 1


@pytest.fixture
def watched(broker: Broker) -> Watched:
    return Watched(broker)


def test_what_shows_nothing_is_told_and_what_is_good_is_not(watched: Watched) -> None:
    assert watched.show(1, good()) == ""
    said = watched.show(2, flat(0, 0, 0))
    assert said.startswith("pictures that cannot be inspected: black: no light")
    assert [watched.show(at, noisy(good(), at)) for at in (3, 4, 5)] == [said, said, ""]


def test_a_jpeg_that_is_passed_through_is_decoded_and_torn_ones_are_found(watched: Watched) -> None:
    assert watched.show(1, good(), coded=True) == ""
    half = cut(jpeg_of(good()), 0.5)
    watched.health.arrived(Picture(2 * NS_PER_S, 640, 480, jpeg=half))
    watched.health._next_look = 0.0  # on a busy machine the first look takes long, and the next one comes later
    watched.health.look(2.0)
    assert "torn: rows are missing" in watched.node.health["pictures"]


def test_an_empty_belt_is_no_covered_lens_but_a_board_shows_something(watched: Watched) -> None:
    belt = noisy(flat(52, 56, 60))
    assert watched.show(1, belt) == ""
    assert "covered: " in watched.show(2, belt, of_board=True)


def test_a_board_softer_than_at_the_set_up_is_blurred(broker: Broker) -> None:
    soft = noisy(cv2.GaussianBlur(good(), (0, 0), 3))
    assert "blurred: " in Watched(broker, usual=sharpness(good())).show(1, soft, of_board=True)
    assert Watched(broker).show(1, soft, of_board=True) == ""


def test_a_camera_that_is_dark_from_the_start_is_opened_again_ever_more_seldom(watched: Watched) -> None:
    for at in range(1, 5):
        watched.show(at, noisy(flat(3, 3, 3), at))
    assert watched.reopened == 0, "its exposure may need a moment"
    for at in range(5, 60):
        watched.show(at, noisy(flat(3, 3, 3), at))
    assert 2 <= watched.reopened <= 5


def test_a_camera_that_got_dark_later_is_not(watched: Watched) -> None:
    watched.show(1, good())
    for at in range(2, 60):
        watched.show(at, noisy(flat(3, 3, 3), at))
    assert watched.reopened == 0


def test_a_frozen_camera_is_told_and_opened_again(watched: Watched) -> None:
    said = [watched.show(0.3 * number, good()) for number in range(8)]
    assert said[:4] == [""] * 4
    assert all("frozen: the camera gives the same picture again and again" in each for each in said[4:])
    assert watched.reopened == 1


def test_frames_of_a_frozen_camera_say_so(watched: Watched) -> None:
    pictures = [picture(number * NS_PER_S // 2, good()) for number in range(6)]
    for each in pictures:
        watched.health.arrived(each)
    found = [watched.health.quality(each, of_board=False) for each in pictures]
    assert found[0] is None
    assert str(found[5]).startswith("frozen: ")
    other = picture(9 * NS_PER_S, noisy(good()))
    watched.health.arrived(other)
    assert watched.health.quality(other, of_board=False) is None


def test_two_boards_that_look_the_same_are_a_frozen_camera(watched: Watched) -> None:
    first, second = picture(0, good()), picture(NS_PER_S // 5, good())
    assert watched.health.quality(first, of_board=True) is None
    assert watched.health.quality(first, of_board=True) is None, "it is the nearest to two triggers"
    assert str(watched.health.quality(second, of_board=True)).startswith("frozen: ")


def test_files_and_folders_may_repeat(broker: Broker) -> None:
    watched = Watched(broker, frozen_after_ns=None)
    assert {watched.show(number, good(), of_board=True, coded=True) for number in range(99)} == {""}
    again = picture(100 * NS_PER_S, good())
    assert watched.health.quality(again, of_board=True) is None


def test_which_sources_may_repeat(tmp_path: Path) -> None:
    assert how_long_the_same(str(tmp_path)) is None
    assert how_long_the_same("film.mp4") is None
    for camera in ("0", "/dev/video2", "sim://left"):
        assert how_long_the_same(camera) == NS_PER_S
    assert how_long_the_same("rtsp://camera/stream") == 30 * NS_PER_S, "a codec smooths what stands still"


def test_a_frozen_camera_on_a_line(start_edge: Callable[..., HandFed], mqtt_probe: OpenProbe) -> None:
    inference, viewer, photo_eye = mqtt_probe("inference"), mqtt_probe("viewer"), mqtt_probe("trigger")
    inference.subscribe(FRAMES)
    viewer.subscribe(STATUS, EVENTS)
    camera = start_edge(trigger="mqtt", preview_fps=0, ring_s=5, stall_s=60)
    begin = now_ns() // MS * MS - 2 * NS_PER_S
    for number in range(8):
        camera.give(picture(begin + number * 250 * MS, good()))
    viewer.wait_for(STATUS, lambda each: json.loads(each.payload)["state"] != "offline")
    photo_eye.publish("pcb/trigger", encode_json(Trigger(board_id="b", triggered_at=begin + 1750 * MS, source="plc")))
    frame = decode_msgpack(Frame, inference.wait_for(FRAMES).payload)
    assert str(frame.quality).startswith("frozen: ")
    viewer.wait_for(STATUS, lambda each: "frozen: " in json.loads(each.payload)["detail"])

    def is_opened_again() -> bool:
        camera.give(picture(now_ns(), good()))
        return camera.opened == 2

    until(is_opened_again)
    sigma = count(1)

    def is_well_again() -> bool:
        camera.give(picture(now_ns(), noisy(good(), next(sigma) % 5)))
        return bool(json.loads(viewer.received(STATUS)[-1].payload)["state"] == "online")

    until(is_well_again)
    events = [json.loads(each.payload) for each in viewer.wait_for_count(EVENTS, 2)]
    assert [each["level"] for each in events] == ["warning", "info"]
    assert events[1]["message"] == "the pictures are good again"
