"""What an operator asks of an edge: the answer is the new state, or why nothing was changed."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.hand_fed import HandFed, picture
from support.peer import commander, until
from support.probe import Probe

from broker import Broker
from edge_publisher.service import EdgeService, build
from edge_publisher.settings import EdgeLineSettings
from edge_publisher.sources import CaptureRequest, Picture
from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.contract.pictures import inspect_jpeg
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import CommandFailed
from pcb_bus.mqtt.requests import Requester
from pcb_bus.runtime.settings import load_settings

OpenProbe = Callable[..., Probe]
STATUS, FRAMES = "pcb/status/edge-left", "pcb/frame/left"
AS_CONFIGURED = {
    "fps": 10.0,
    "quality": 85,
    "exposure": None,
    "gain": None,
    "white_balance": None,
    "focus": None,
    "source": "0",
    "paused": False,
    "outlives_restart": True,
}


class Optics(HandFed):
    """A camera of 20 pictures a second whose exposure can be set up to 20 ms, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.exposure: Any = None
        self._tick = threading.Event()

    def adjust(self, request: CaptureRequest) -> CaptureRequest:
        if isinstance(request.exposure_ms, float | int):
            self.exposure = min(request.exposure_ms, 20)
        elif request.exposure_ms is not None:
            self.exposure = request.exposure_ms
        return CaptureRequest(request.width, request.height, request.fps, exposure_ms=self.exposure)

    def values(self) -> CaptureRequest:
        return CaptureRequest()

    def read(self) -> Picture:
        self._tick.wait(0.05)
        self.give(picture(now_ns()))
        return super().read()


class Edge:
    """An edge that reads its settings from a file, and an operator."""

    def __init__(self, file: Path, broker: Broker, operator: Requester, probe: OpenProbe) -> None:
        self.file, self.operator = file, operator
        self.settings: dict[str, Any] = {
            "broker": {"port": broker.port, "credentials": str(broker.credentials_folder)},
            "edge": {"side": "left", "trigger": "mqtt", "preview_fps": 0, "outbox": str(file.parent / "edge")},
        }
        self.camera = Optics()
        self.viewer, self.inference, self.photo_eye = probe("viewer"), probe("inference"), probe("trigger")
        self.viewer.subscribe(STATUS, "pcb/event/edge-left")
        self.inference.subscribe(FRAMES)

    def configure(self, **edge: Any) -> None:
        self.settings["edge"].update(edge)
        self.file.write_text(json.dumps(self.settings), encoding="utf-8")

    def run(self) -> EdgeService:
        service = EdgeService(load_settings(EdgeLineSettings, ["--config", str(self.file)]), self.camera)
        service.start()
        self.viewer.wait_for(STATUS, lambda each: json.loads(each.payload)["state"] == "online")
        return service

    def ask(self, command: str, **params: Any) -> dict[str, Any]:
        return self.operator.ask("edge-left", command, 5.0, **params)

    def refusal(self, command: str, **params: Any) -> str:
        with pytest.raises(CommandFailed) as refused:
            self.ask(command, **params)
        return str(refused.value)

    def announce(self, board: str) -> None:
        trigger = Trigger(board_id=board, triggered_at=now_ns(), source="eye")
        self.photo_eye.publish("pcb/trigger", encode_json(trigger))


@pytest.fixture
def edge(broker: Broker, tmp_path: Path, mqtt_probe: OpenProbe) -> Iterator[Edge]:
    with ExitStack() as stack:
        made = Edge(tmp_path / "line.yaml", broker, stack.enter_context(commander(broker)), mqtt_probe)
        made.configure()
        stack.callback(made.run().stop)
        yield made


def test_values_are_set_together_or_not_at_all(edge: Edge) -> None:
    assert edge.ask("set") == AS_CONFIGURED
    asked = {"quality": 40, "exposure": 5, "fps": 10}
    assert edge.ask("set", **asked) == {**AS_CONFIGURED, **asked, "outlives_restart": False}
    assert (edge.camera.exposure, edge.ask("set", exposure="auto")["exposure"]) == (5, "auto")
    for wrong, words in (
        ({"fps": 0}, "params.fps"),
        ({"quality": "90"}, "params.quality"),
        ({"qualify": 90}, "params.qualify"),
        ({"quality": 50, "exposure": 25}, "refuses exposure_ms 25 (it has 20): nothing is changed"),
        ({"quality": 50, "focus": 3}, "refuses focus 3 (it has none): nothing is changed"),
        ({"source": "/dev/video7"}, "params.source"),
        ({"source": "other"}, "no source is called other; edge.sources of this node has none"),
    ):
        assert words in edge.refusal("set", **wrong)
    assert edge.ask("set") == {**AS_CONFIGURED, "quality": 40, "exposure": "auto", "outlives_restart": False}
    assert edge.camera.exposure == "auto"


def test_a_snapshot_is_a_frame_of_no_board_and_nothing_is_inspected(edge: Edge) -> None:
    before = now_ns()
    frame = edge.operator.fetch(Frame, "edge-left", "snapshot", 5.0)
    assert (frame.side, frame.board_id, frame.width, frame.height) == ("left", None, 64, 48)
    assert abs(frame.captured_at - before) < 10e9
    assert inspect_jpeg(frame.jpeg, max_pixels=10_000).width == 64
    assert not edge.inference.received(FRAMES)


def test_while_paused_it_sends_nothing_and_does_not_lead(edge: Edge) -> None:
    assert edge.ask("pause")["paused"]

    def is_blind(status: dict[str, Any]) -> bool:
        return status["state"] == "degraded" and "paused" in status["detail"] and status["sees"] is False

    edge.viewer.wait_for(STATUS, lambda each: is_blind(json.loads(each.payload)))
    edge.announce("while paused")
    state = edge.ask("resume")
    assert (state["paused"], state["outlives_restart"]) == (False, True)
    edge.announce("after it")
    edge.inference.wait_for(FRAMES, lambda each: decode_msgpack(Frame, each.payload).board_id == "after it")
    boards = [decode_msgpack(Frame, each.payload).board_id for each in edge.inference.received(FRAMES)]
    assert boards == ["after it"]


def test_reload_takes_over_what_it_can_and_names_the_rest(edge: Edge) -> None:
    edge.ask("set", quality=40)
    edge.configure(jpeg_quality=70, camera={"exposure_ms": 7}, width=1280)
    state = edge.ask("reload")
    assert state.pop("needs_restart") == ["edge.width"]
    assert state == {**AS_CONFIGURED, "quality": 70, "exposure": 7}
    edge.configure(camera={"exposure_ms": 700})
    assert "refuses exposure_ms 700" in edge.refusal("reload")
    assert edge.ask("set") == {**state, "outlives_restart": True}
    edge.configure(jpeg_quality=0)
    assert "edge.jpeg_quality" in edge.refusal("reload")
    edge.file.write_text("edge: [", encoding="utf-8")
    assert "line.yaml" in edge.refusal("reload")


def test_a_source_is_changed_to_a_configured_name_only(broker: Broker, tmp_path: Path, mqtt_probe: OpenProbe) -> None:
    for name, shade in (("day", 60), ("night", 200)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "board.png"), np.full((48, 64, 3), shade, np.uint8))
    with commander(broker) as operator, ExitStack() as stack:
        edge = Edge(tmp_path / "line.yaml", broker, operator, mqtt_probe)
        sources = {"day": str(tmp_path / "day"), "night": str(tmp_path / "night"), "gone": str(tmp_path / "gone")}
        edge.configure(source=sources["day"], sources={**sources, "camera": "0"}, fps=20)
        service = build(load_settings(EdgeLineSettings, ["--config", str(edge.file)]))
        stack.callback(service.stop)
        service.start()

        def shade() -> float:
            frame = operator.fetch(Frame, "edge-left", "snapshot", 5.0)
            return float(cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR).mean())

        edge.viewer.wait_for(STATUS, lambda each: json.loads(each.payload)["state"] == "online")
        until(lambda: abs(shade() - 60) < 5)
        assert edge.ask("set")["source"] == "day"
        assert "no such camera, file or folder" in edge.refusal("set", source="gone")
        assert "a camera is not followed by files" in edge.refusal("set", source="camera")
        assert edge.ask("set", source="night", fps=10)["source"] == "night"
        until(lambda: abs(shade() - 200) < 5)
        state = edge.ask("reload")
        assert (state["source"], state["fps"], state["outlives_restart"]) == ("day", 20, True)
        until(lambda: abs(shade() - 60) < 5)
