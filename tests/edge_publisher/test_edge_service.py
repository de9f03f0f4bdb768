"""The edge on a real broker."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from prometheus_client import REGISTRY
from support.hand_fed import HandFed, jpeg_of, picture
from support.probe import Probe

from broker import Broker
from edge_publisher.sources import Picture, View
from inference_subscriber.intake import FrameLimits, read_frame
from inference_subscriber.settings import InferenceSettings
from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json
from pcb_bus.contract.messages import CommandReply, Event, Frame, NodeStatus, Trigger
from pcb_bus.contract.pictures import inspect_jpeg
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import NS_PER_S, now_ns, to_rfc3339

FRAMES, PREVIEWS, STATUS = "pcb/frame/left", "pcb/preview/left", "pcb/status/edge-left"
StartEdge = Callable[..., HandFed]
OpenProbe = Callable[..., Probe]


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def trigger(board_id: str, at: int) -> bytes:
    return encode_json(Trigger(board_id=board_id, triggered_at=at, source="photo-eye"))


def whole_ms(at: int) -> int:
    return at // MS * MS


@pytest.fixture
def inference(mqtt_probe: OpenProbe) -> Probe:
    """A foreign client with the login of the inference node, which hears the frames."""
    probe = mqtt_probe("inference")
    probe.subscribe(FRAMES, "pcb/reply/inference/#")
    return probe


@pytest.fixture
def viewer(mqtt_probe: OpenProbe) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe(STATUS, "pcb/event/edge-left", PREVIEWS)
    return probe


@pytest.fixture
def photo_eye(mqtt_probe: OpenProbe) -> Probe:
    return mqtt_probe("trigger")


def online(viewer: Probe) -> None:
    viewer.wait_for(STATUS, lambda message: json.loads(message.payload)["state"] == "online")


def frames(inference: Probe, number: int) -> list[Frame]:
    return [decode_msgpack(Frame, each.payload) for each in inference.wait_for_count(FRAMES, number)]


def ask_resend(inference: Probe, **params: Any) -> CommandReply:
    correlation = os.urandom(8)
    inference.publish(
        "pcb/command/edge-left",
        json.dumps({"v": 1, "command": "resend", "params": params}),
        ResponseTopic="pcb/reply/inference/1",
        CorrelationData=correlation,
    )
    answer = inference.wait_for(
        "pcb/reply/inference/1", lambda message: getattr(message.properties, "CorrelationData", b"") == correlation
    )
    return decode_json(CommandReply, answer.payload)


class TestOnTrigger:
    @pytest.fixture
    def camera(self, start_edge: StartEdge, viewer: Probe) -> HandFed:
        """An edge that waits for triggers and has a picture of one second ago."""
        camera = start_edge(trigger="mqtt", preview_fps=0)
        camera.give(picture(now_ns() - NS_PER_S))
        online(viewer)
        return camera

    def test_the_nearest_picture_answers(self, camera: HandFed, photo_eye: Probe, inference: Probe) -> None:
        at = whole_ms(now_ns()) - 200 * MS
        for offset in (-130, 20, 150):
            camera.give(picture(at + offset * MS, width=200 + offset))
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        [frame] = frames(inference, 1)
        assert (frame.side, frame.board_id, frame.triggered_at, frame.serial) == ("left", "board-1", at, None)
        assert (frame.captured_at, frame.width, frame.height) == (at + 20 * MS, 220, 48)
        assert inspect_jpeg(frame.jpeg, max_pixels=10**6).width == 220

    def test_it_waits_for_the_picture_that_is_about_to_come(
        self, camera: HandFed, photo_eye: Probe, inference: Probe
    ) -> None:
        at = whole_ms(now_ns())
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        camera.give(picture(at + 30 * MS))
        assert frames(inference, 1)[0].captured_at == at + 30 * MS

    def test_a_jpeg_of_the_camera_travels_as_it_came(self, camera: HandFed, photo_eye: Probe, inference: Probe) -> None:
        at, jpeg = whole_ms(now_ns()), jpeg_of(64, 48)
        camera.give(Picture(at, 64, 48, jpeg=jpeg))
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        assert frames(inference, 1)[0].jpeg == jpeg

    def test_a_repeated_trigger_is_answered_once(self, camera: HandFed, photo_eye: Probe, inference: Probe) -> None:
        at = whole_ms(now_ns())
        camera.give(picture(at))
        for _ in range(3):
            photo_eye.publish("pcb/trigger", trigger("board-1", at))
        photo_eye.publish("pcb/trigger", trigger("board-2", at))
        assert [frame.board_id for frame in frames(inference, 2)] == ["board-1", "board-2"]

    def test_every_frame_has_its_own_id(self, camera: HandFed, photo_eye: Probe, inference: Probe) -> None:
        at = whole_ms(now_ns())
        camera.give(picture(at))
        for number in range(5):
            photo_eye.publish("pcb/trigger", trigger(f"board-{number}", at))
        assert len({frame.frame_id for frame in frames(inference, 5)}) == 5

    def test_a_board_that_nobody_saw_is_reported_and_has_no_frame(
        self, camera: HandFed, photo_eye: Probe, inference: Probe, viewer: Probe
    ) -> None:
        missed = count("boardline_edge_triggers_total", outcome="missed")
        now = whole_ms(now_ns())
        camera.give(picture(now))
        photo_eye.publish("pcb/trigger", trigger("too-late", now - 20 * NS_PER_S))
        photo_eye.publish("pcb/trigger", trigger("seen", now))
        event = decode_json(Event, viewer.wait_for("pcb/event/edge-left").payload)
        assert (event.level, event.details["board_id"]) == ("warning", "too-late")
        assert event.details["clock_difference_ms"] >= 20_000
        assert [frame.board_id for frame in frames(inference, 1)] == ["seen"]
        assert count("boardline_edge_triggers_total", outcome="missed") == missed + 1

    def test_the_picture_of_another_board_is_not_sent(
        self, camera: HandFed, photo_eye: Probe, inference: Probe, viewer: Probe
    ) -> None:
        """A camera that paused: the nearest pictures are those of the boards before and behind."""
        at = whole_ms(now_ns()) - 500 * MS
        camera.give(picture(at - 430 * MS))
        camera.give(picture(at + 470 * MS))
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        event = decode_json(Event, viewer.wait_for("pcb/event/edge-left").payload)
        assert (event.details["board_id"], event.details["nearest_ms"]) == ("board-1", 430)
        assert "slower than edge.fps (10)" in event.message
        photo_eye.publish("pcb/trigger", trigger("board-2", at + 500 * MS))
        assert [frame.board_id for frame in frames(inference, 1)] == ["board-2"]

    def test_a_retained_trigger_is_refused_and_counted(
        self, start_edge: StartEdge, photo_eye: Probe, inference: Probe, viewer: Probe
    ) -> None:
        """What was retained before, and what is published to be retained while the edge listens."""
        before = count("boardline_messages_rejected_total", kind="trigger", reason="retained")
        at = whole_ms(now_ns())
        photo_eye.publish("pcb/trigger", trigger("of-before", at), retain=True)
        camera = start_edge(trigger="mqtt", preview_fps=0)
        camera.give(picture(at))
        online(viewer)
        photo_eye.publish("pcb/trigger", trigger("retained", at), retain=True)
        photo_eye.publish("pcb/trigger", b"", retain=True)
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        assert [frame.board_id for frame in frames(inference, 1)] == ["board-1"]
        assert count("boardline_messages_rejected_total", kind="trigger", reason="retained") == before + 1

    @pytest.mark.parametrize(
        ("payload", "reason"),
        [
            (b"", "not_json"),
            (b"\xff\xd8 a jpeg", "not_json"),
            (b"[" * 100_000, "not_json"),
            (b'{"v": 1, "board_id": "x"}', "schema"),
            (b'{"v": 1, "board_id": 7, "triggered_at": "2026-01-01T00:00:00Z", "source": "x"}', "schema"),
            (b'{"v": 1, "board_id": "x", "triggered_at": 0, "source": "x"}', "schema"),
            (b'{"v": 1, "board_id": "x", "triggered_at": "yesterday", "source": "x"}', "schema"),
            (b'{"v": 1, "board_id": "", "triggered_at": "2026-01-01T00:00:00Z", "source": "x"}', "schema"),
            (b'"' + b"x" * 1_000_000 + b'"', "too_large"),
        ],
    )
    def test_a_malformed_trigger_is_counted_and_harms_nothing(
        self, camera: HandFed, photo_eye: Probe, inference: Probe, payload: bytes, reason: str
    ) -> None:
        before = count("boardline_messages_rejected_total", kind="trigger", reason=reason)
        at = whole_ms(now_ns())
        camera.give(picture(at))
        photo_eye.publish("pcb/trigger", payload)
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        assert [frame.board_id for frame in frames(inference, 1)] == ["board-1"]
        assert count("boardline_messages_rejected_total", kind="trigger", reason=reason) == before + 1

    def test_a_picture_without_pixels_is_counted_and_harms_nothing(
        self, camera: HandFed, photo_eye: Probe, inference: Probe
    ) -> None:
        before = count("boardline_edge_not_encoded_total")
        at = whole_ms(now_ns())
        camera.give(Picture(at, 0, 0, image=np.zeros((0, 0, 3), np.uint8)))
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        camera.give(picture(at + 100 * MS))
        photo_eye.publish("pcb/trigger", trigger("board-2", at + 100 * MS))
        assert [frame.board_id for frame in frames(inference, 1)] == ["board-2"]
        assert count("boardline_edge_not_encoded_total") == before + 1

    def test_a_picture_over_the_packet_limit_is_sent_all_the_same(
        self, start_edge: StartEdge, photo_eye: Probe, inference: Probe, viewer: Probe
    ) -> None:
        camera = start_edge(trigger="mqtt", preview_fps=0, max_side=4000)
        at = whole_ms(now_ns())
        camera.give(Picture(at, 64, 48, jpeg=jpeg_of(64, 48) + bytes(4 * 1024 * 1024)))
        online(viewer)
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        [frame] = frames(inference, 1)
        assert (frame.board_id, frame.width, frame.height) == ("board-1", 64, 48)

    def test_twelve_megapixels_go_from_end_to_end(
        self, start_edge: StartEdge, photo_eye: Probe, inference: Probe, viewer: Probe
    ) -> None:
        """As they came; or cut and turned, when they have to be encoded again. Inference takes both."""
        width, height = 4056, 3040
        jpeg = cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()
        camera = start_edge(trigger="mqtt", preview_fps=0, max_side=4096)
        at, view = whole_ms(now_ns()), View((0, 0, 1, 0.5), 90)
        for number, given in enumerate((Picture(at, width, height, jpeg=jpeg), Picture(at, width, height, jpeg=jpeg))):
            camera.give(replace(given if number == 0 else given.seen_through(view), captured_at=at + number * NS_PER_S))
        online(viewer)
        for number in range(2):
            photo_eye.publish("pcb/trigger", trigger(f"board-{number}", at + number * NS_PER_S))
        inference.wait_for_count(FRAMES, 2)
        limits = FrameLimits(frozenset({"left"}), InferenceSettings().max_pixels)
        whole, turned = (read_frame("left", each.payload, 0, limits) for each in inference.received(FRAMES))
        assert whole.jpeg == jpeg
        assert (turned.width, turned.height) == (height // 2, width)


class TestResend:
    @pytest.fixture
    def camera(self, start_edge: StartEdge, viewer: Probe) -> HandFed:
        camera = start_edge(trigger="mqtt", preview_fps=0)
        camera.give(picture(now_ns()))
        online(viewer)
        return camera

    @pytest.mark.parametrize("by_time", [True, False])
    def test_the_same_frame_comes_again(
        self, camera: HandFed, photo_eye: Probe, inference: Probe, by_time: bool
    ) -> None:
        at = whole_ms(now_ns())
        camera.give(picture(at))
        photo_eye.publish("pcb/trigger", trigger("board-1", at))
        [first] = frames(inference, 1)
        reply = ask_resend(inference, board_id="board-1", triggered_at=at if by_time else None)
        assert (reply.error, reply.result) == (None, {"frame_id": first.frame_id})
        assert frames(inference, 2) == [first, first]

    def test_a_trigger_that_never_came_is_answered_now(
        self, camera: HandFed, photo_eye: Probe, inference: Probe
    ) -> None:
        at = now_ns()  # not in whole milliseconds: integers lose nothing on the way
        camera.give(picture(at + MS))
        frame_id = ask_resend(inference, board_id="board-1", triggered_at=at).result["frame_id"]
        [frame] = frames(inference, 1)
        assert (frame.frame_id, frame.board_id, frame.triggered_at) == (frame_id, "board-1", at)
        assert ask_resend(inference, board_id="board-1").result == {"frame_id": frame_id}

    @pytest.mark.parametrize("params", [{"board_id": "nobody"}, {"board_id": "nobody", "triggered_at": 5}])
    def test_a_board_that_is_not_known_is_an_error(
        self, camera: HandFed, inference: Probe, params: dict[str, Any]
    ) -> None:
        assert ask_resend(inference, **params).error == "no frame of board 'nobody'"

    @pytest.mark.parametrize(
        ("params", "words"),
        [({}, "board_id"), ({"board_id": 5}, "board_id"), ({"board_id": "b", "triggered_at": "now"}, "triggered_at")],
    )
    def test_params_that_are_wrong_are_an_error(
        self, camera: HandFed, inference: Probe, params: dict[str, Any], words: str
    ) -> None:
        assert words in (ask_resend(inference, **params).error or "")


class TestFreeRun:
    def test_frames_come_at_the_rate_without_board(
        self, start_edge: StartEdge, inference: Probe, viewer: Probe
    ) -> None:
        camera = start_edge(trigger="free_run", fps=10, preview_fps=0)
        camera.give(picture(now_ns()))
        online(viewer)
        start = now_ns() + NS_PER_S
        camera.give(picture(start))
        inference.wait_for(FRAMES, lambda message: decode_msgpack(Frame, message.payload).captured_at == start)
        before = len(inference.received(FRAMES)) - 1
        for number in range(1, 31):  # a camera of 30 fps
            camera.give(picture(start + round(number * NS_PER_S / 30)))
            frames(inference, before + 1 + number // 3)
        sent = frames(inference, before + 11)[before:]
        assert {(frame.board_id, frame.triggered_at) for frame in sent} == {(None, None)}
        assert len({frame.frame_id for frame in sent}) == len(sent)
        gaps = [later.captured_at - earlier.captured_at for earlier, later in pairwise(sent)]
        assert [round(gap / MS) for gap in gaps] == [100] * 10


class TestPreview:
    def test_it_is_a_bare_jpeg_at_its_own_rate(self, start_edge: StartEdge, inference: Probe, viewer: Probe) -> None:
        camera = start_edge(trigger="mqtt", preview_fps=2)
        start = now_ns()
        camera.give(picture(start))
        online(viewer)
        camera.give(picture(start + 600 * MS))
        camera.give(picture(start + 700 * MS))
        camera.give(picture(start + 1300 * MS, width=80))
        last = viewer.wait_for(PREVIEWS, lambda message: inspect_jpeg(message.payload, max_pixels=10**6).width == 80)
        assert last.payload.startswith(b"\xff\xd8")
        assert last.qos == 0
        assert not last.retain
        assert 1 <= len(viewer.received(PREVIEWS)) <= 3
        assert inference.received(FRAMES) == []

    def test_zero_turns_it_off(self, start_edge: StartEdge, inference: Probe, viewer: Probe) -> None:
        camera = start_edge(trigger="free_run", preview_fps=0)
        camera.give(picture(now_ns()))
        online(viewer)
        camera.give(picture(now_ns() + NS_PER_S))
        frames(inference, 1)
        assert viewer.received(PREVIEWS) == []


class TestOutage:
    def test_a_camera_that_dies_is_reported_once_and_comes_back(self, start_edge: StartEdge, viewer: Probe) -> None:
        camera = start_edge(trigger="free_run", preview_fps=0)
        camera.give(picture(now_ns()))
        online(viewer)
        camera.die("the cable is out")
        camera.die("there is no /dev/video0")
        gone = decode_json(Event, viewer.wait_for("pcb/event/edge-left").payload)
        assert (gone.level, gone.message, gone.details["reason"]) == (
            *("error", "the camera is gone"),
            "the cable is out",
        )
        camera.give(picture(now_ns()))
        back = decode_json(Event, viewer.wait_for_count("pcb/event/edge-left", 2)[1].payload)
        assert (back.level, back.message) == ("info", "the camera is back")
        states = [decode_json(NodeStatus, each.payload) for each in viewer.received(STATUS)]
        assert states[-1].state == "online"
        told = [(each.state, each.detail) for each in states]
        assert ("degraded", "no camera: the cable is out") in told
        assert ("degraded", "no camera: there is no /dev/video0") in told

    def test_frames_of_a_broker_outage_are_dropped_not_kept(
        self, broker: Broker, start_edge: StartEdge, mqtt_probe: OpenProbe, viewer: Probe
    ) -> None:
        camera = start_edge(trigger="free_run", fps=100, preview_fps=0)
        camera.give(picture(now_ns()))
        online(viewer)
        before = count("boardline_messages_dropped_total", kind="frame", reason="not_connected")
        broker.kill()
        pause = threading.Event()
        while count("boardline_messages_dropped_total", kind="frame", reason="not_connected") < before + 2:
            camera.give(picture(now_ns()))
            pause.wait(0.02)
        broker.start()
        again = mqtt_probe("inference")
        again.subscribe(FRAMES)
        fresh = now_ns()
        while not again.received(FRAMES):
            camera.give(picture(now_ns()))
            pause.wait(0.02)
        assert all(decode_msgpack(Frame, each.payload).captured_at >= fresh for each in again.received(FRAMES))


def test_the_process_publishes_what_a_folder_holds_and_says_goodbye(
    broker: Broker, inference: Probe, viewer: Probe, tmp_path: Path
) -> None:
    jpeg = jpeg_of(64, 48)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1_test.jpg").write_bytes(jpeg)
    options = {
        "--sides": "left",
        "--side": "left",
        "--edge.outbox": str(tmp_path / "edge"),
        "--source": str(tmp_path / "images"),
        "--port": str(broker.port),
        "--broker.credentials": str(broker.credentials_folder),
        "--log.directory": str(tmp_path / "log"),
    }
    command = [sys.executable, "-m", "edge_publisher", *(word for pair in options.items() for word in pair)]
    started = to_rfc3339(now_ns())
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL) as edge:
        try:
            online(viewer)
            sent = frames(inference, 3)
        finally:
            edge.terminate()
        assert edge.wait(5) == 0
    assert {(frame.jpeg, frame.width, frame.height) for frame in sent} == {(jpeg, 64, 48)}
    assert len({frame.board_id for frame in sent}) == 3, "each picture of a folder is a board"
    assert to_rfc3339(sent[0].captured_at) >= started
    goodbye = viewer.wait_for(STATUS, lambda message: json.loads(message.payload)["state"] == "offline")
    assert json.loads(goodbye.payload)["detail"] == "stopped"


def test_a_driver_that_hangs_three_times_ends_the_process_with_code_1(free_port: int, tmp_path: Path) -> None:
    """So that a supervisor starts it afresh: nothing within it can end a thread that hangs. No broker is needed."""
    options = {
        "--side": "left",
        "--port": str(free_port),
        "--edge.stall_s": "0.5",
        "--edge.fps": "100",
        "--edge.outbox": str(tmp_path / "edge"),
        "--broker.credentials": str(tmp_path),
        "--log.directory": str(tmp_path / "log"),
    }
    command = [
        sys.executable,
        Path(__file__).with_name("hanging_edge.py"),
        *(word for pair in options.items() for word in pair),
    ]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=50
    )
    assert ended.returncode == 1
    assert "the camera's driver hangs in 3 threads" in ended.stderr
