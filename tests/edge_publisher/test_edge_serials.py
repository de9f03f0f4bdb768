"""Serials are read once the frames of their boards have gone, and however slow that is, no frame waits for it."""

import importlib
import itertools
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from prometheus_client import REGISTRY
from support.hand_fed import HandFed
from support.probe import Probe

from edge_publisher.sources import Picture
from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json
from pcb_bus.contract.messages import Event, Frame, Serial, Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns

FRAMES, SERIALS = "pcb/frame/left", "pcb/serial/left"
EVENTS, STATUS = "pcb/event/edge-left", "pcb/status/edge-left"
DROPPED = "boardline_messages_dropped_total", {"kind": "serial", "reason": "queue_full"}
SLOW_READER = """
import threading

begun, go_on = threading.Event(), threading.Event()

def read(picture):
    begun.set()
    assert go_on.wait(20)
    return f"grey-{picture[0, 0, 0]}"
"""


Look = Callable[[Picture], Picture]


class Line:
    """An edge that answers triggers, and what hears it."""

    def __init__(self, start_edge: Callable[..., HandFed], mqtt_probe: Callable[..., Probe]) -> None:
        self._start_edge = start_edge
        self.inference, self.viewer, self.photo_eye = map(mqtt_probe, ("inference", "viewer", "trigger"))
        self.inference.subscribe(FRAMES)
        self.viewer.subscribe(SERIALS, EVENTS, STATUS)

    def start(self, **edge: object) -> None:
        self.camera = self._start_edge(trigger="mqtt", preview_fps=0, ring_s=5, **edge)
        self._first = now_ns() // NS_PER_MS * NS_PER_MS
        self.camera.give(picture(self._first - NS_PER_S))
        self.viewer.wait_for(STATUS, lambda message: json.loads(message.payload)["state"] == "online")

    def passes(self, number: int, serial: str | None = None, shade: int = 90, look: Look = lambda view: view) -> int:
        """The board of this number is triggered and its frame goes; when it was triggered."""
        at = self._first + number * NS_PER_S  # far enough apart that no board's picture is near another's trigger
        self.camera.give(look(picture(at, serial, shade)))
        trigger = Trigger(board_id=f"board-{number}", triggered_at=at, source="eye")
        self.photo_eye.publish("pcb/trigger", encode_json(trigger))
        self.inference.wait_for(
            FRAMES, lambda message: decode_msgpack(Frame, message.payload).board_id == f"board-{number}"
        )
        return at

    def serials(self, count: int) -> list[Serial]:
        return [decode_json(Serial, each.payload) for each in self.viewer.wait_for_count(SERIALS, count)]


@pytest.fixture
def line(start_edge: Callable[..., HandFed], mqtt_probe: Callable[..., Probe]) -> Line:
    return Line(start_edge, mqtt_probe)


def picture(at: int, serial: str | None = None, shade: int = 90) -> Picture:
    image = np.full((120, 240, 3), shade, np.uint8)
    if serial is not None:
        code = np.asarray(zxingcpp.create_barcode(serial, zxingcpp.BarcodeFormat.DataMatrix).to_image(scale=4))
        image[20 : 20 + code.shape[0], 40 : 40 + code.shape[1]] = code[..., np.newaxis]
    return Picture(at, 240, 120, image=image)


def as_jpeg(view: Picture, *, torn: bool = False) -> Picture:
    assert view.image is not None
    jpeg = cv2.imencode(".jpg", view.image)[1].tobytes()
    return Picture(view.captured_at, 240, 120, jpeg=jpeg[: len(jpeg) // 2] + b"\xff\xd9" if torn else jpeg)


def test_the_serial_of_a_board_is_told_with_its_pass(line: Line) -> None:
    line.start(serial="any", serial_pattern=r"(?P<product>\w+)-\d+")
    first = line.passes(0, "controller-7")
    line.passes(1, "controller-8", look=lambda view: as_jpeg(view, torn=True))
    line.passes(2, "controller-9", look=as_jpeg)
    told = line.serials(2)
    assert [(each.board_id, each.serial) for each in told] == [("board-0", "controller-7"), ("board-2", "controller-9")]
    assert (told[0].triggered_at, told[0].side, told[0].symbology) == (first, "left", "datamatrix")
    assert told[0].product == "controller"


def test_nothing_is_read_unless_it_is_asked_for(line: Line) -> None:
    before = {thread for thread in threading.enumerate() if thread.name == "serials"}
    line.start()
    line.passes(0, "A-7")
    assert {thread for thread in threading.enumerate() if thread.name == "serials"} <= before


@pytest.fixture
def slow_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An installed package with a reader that waits for `go_on`."""
    (tmp_path / "slow_reader.py").write_text(SLOW_READER)
    (installed := tmp_path / "slow_reader-1.dist-info").mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-reader\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[boardline.serials]\nslow = slow_reader:read\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("slow_reader")
    del sys.modules["slow_reader"]


def test_no_frame_waits_for_a_slow_reader_and_the_newest_boards_are_read_first(line: Line, slow_reader: Any) -> None:
    line.start(serial="slow")
    before = REGISTRY.get_sample_value(*DROPPED) or 0.0
    line.passes(0, shade=100)
    assert slow_reader.begun.wait(10)
    for number in range(1, 12):
        line.passes(number, shade=100 + number)
    slow_reader.go_on.set()
    told = [(each.board_id, each.serial, each.symbology) for each in line.serials(9)]
    newest_first = [0, *range(11, 3, -1)]
    assert told == [(f"board-{number}", f"grey-{100 + number}", "slow") for number in newest_first]
    assert REGISTRY.get_sample_value(*DROPPED) == before + 3


def test_that_no_serial_is_read_is_told_once_and_that_they_are_read_again(line: Line) -> None:
    line.start(serial="datamatrix", serial_pattern="A-.*")
    numbers = itertools.count()
    while not any(b"no serial" in each.payload for each in line.viewer.received(EVENTS)):
        line.passes(next(numbers), "label")
    line.passes(next(numbers), "A-7")
    line.serials(1)
    again = line.viewer.wait_for(EVENTS, lambda message: b"again" in message.payload)
    events = [decode_json(Event, each.payload) for each in line.viewer.received(EVENTS)]
    missing = "no serial on the last 10 boards of left: 'label' was read, which is no serial by edge.serial_pattern"
    told = [(each.level, each.message) for each in events if "serial" in each.message]
    assert told == [("warning", missing), ("info", "serials of left are read again")]
    assert decode_json(Event, again.payload).details == {"side": "left"}
