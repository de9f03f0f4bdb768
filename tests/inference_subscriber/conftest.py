"""Frames to inspect, and a detector of red spots that needs no weights."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from support.board_pictures import board_for_a_belt
from support.probe import Probe
from support.red_spots import RedSpotEngine, board_jpeg, jpeg_of

from broker import Broker
from inference_subscriber.anomaly.choosing import Choice
from inference_subscriber.golden import GoldenBoard
from inference_subscriber.service import InferenceService
from inference_subscriber.settings import InferenceLine, InferenceSettings
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.taxonomy import Taxonomy, load_taxonomy
from pcb_bus.contract.times import NS_PER_MS, now_ns, to_rfc3339
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import Pace
from pcb_bus.runtime.settings import BrokerSettings
from simulator.moving_belt import Scene, View, views

MakeFrame = Callable[..., Frame]
StartService = Callable[..., InferenceService]


class Line:
    """What stands around the inference node: cameras, a photo-eye, and a viewer."""

    def __init__(self, open_probe: Callable[..., Probe]) -> None:
        self.cameras = {side: open_probe(f"edge-{side}") for side in ("left", "right")}
        self.photo_eye = open_probe("trigger")
        self.viewer = open_probe("viewer")
        self.recorder = open_probe("recorder")
        self.viewer.subscribe("pcb/verdict", "pcb/status/inference")
        self.recorder.subscribe("pcb/evidence/+")
        for side, camera in self.cameras.items():
            camera.subscribe(f"pcb/command/edge-{side}")

    def trigger(self, board_id: str, at: int | None = None, **fields: Any) -> int:
        """Announce a board; gives the time of the trigger (ns)."""
        triggered_at = (now_ns() if at is None else at) // NS_PER_MS * NS_PER_MS
        trigger = {"v": 1, "board_id": board_id, "triggered_at": to_rfc3339(triggered_at), "source": "photo-eye"}
        self.photo_eye.publish("pcb/trigger", json.dumps(trigger | fields))
        return triggered_at

    def show(self, side: str, jpeg: bytes, /, **fields: Any) -> None:
        """Publish a frame of 64x48 pixels, in free run unless `board_id` says otherwise."""
        frame = {
            "v": 1,
            "side": side,
            "board_id": None,
            "triggered_at": None,
            "frame_id": uuid.uuid4().hex,
            "captured_at": time.time_ns(),
            "width": 64,
            "height": 48,
            "jpeg": jpeg,
            **fields,
        }
        self.cameras[side].publish(f"pcb/frame/{side}", msgpack.packb(frame), qos=0)

    def verdicts(self, count: int) -> list[dict[str, Any]]:
        """The first `count` verdicts, once they are there."""
        return [json.loads(each.payload) for each in self.viewer.wait_for_count("pcb/verdict", count)]

    def verdict_on(self, board_id: str) -> dict[str, Any]:
        """The verdict on this board, once it is there."""
        found = self.viewer.wait_for("pcb/verdict", lambda each: json.loads(each.payload)["board_id"] == board_id)
        verdict: dict[str, Any] = json.loads(found.payload)
        return verdict


@pytest.fixture(scope="session")
def good_jpeg() -> bytes:
    """A green board of 64x48 pixels."""
    return board_jpeg()


@pytest.fixture(scope="session")
def short_jpeg() -> bytes:
    """The same board with a red spot at x 16 to 32, y 8 to 24."""
    return board_jpeg(short=True)


@pytest.fixture(scope="session")
def blue_jpeg() -> bytes:
    """A picture on which the red spot engine fails."""
    return jpeg_of(np.full((48, 64, 3), (200, 80, 0), np.uint8))


@pytest.fixture(scope="session")
def moving_boards() -> list[View]:
    """Two boards that go by on a belt, ten pictures a second; before them and after it is empty."""
    drawn = [board_for_a_belt(340, seed) for seed in range(2)]
    return list(views(Scene(drawn, 2, speed=(0.4, 0.5), fps=10, lead_s=0.4)))


@pytest.fixture(scope="session")
def taxonomy(pytestconfig: pytest.Config) -> Taxonomy:
    return load_taxonomy(pytestconfig.rootpath / "config" / "pcb_defects.yaml")


@pytest.fixture(scope="session")
def make_frame() -> MakeFrame:
    """Builds a frame without a picture in it."""

    def make(side: str, board_id: str | None, triggered_at: int | None, captured_at: int, frame_id: str = "") -> Frame:
        return Frame(
            side=side,
            board_id=board_id,
            triggered_at=triggered_at,
            frame_id=frame_id or uuid.uuid4().hex,
            captured_at=captured_at,
            width=64,
            height=48,
            jpeg=b"\xff\xd8",
        )

    return make


@pytest.fixture
def red_spots() -> RedSpotEngine:
    return RedSpotEngine()


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.db")
    yield outbox
    outbox.close()


@pytest.fixture
def evidence_outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "evidence.db", prompt=False)
    yield outbox
    outbox.close()


@pytest.fixture
def start_service(broker: Broker, taxonomy: Taxonomy, tmp_path: Path) -> Iterator[StartService]:
    """Starts the inference node in this process, with the red spot engine and keys of its section."""

    own = {"outbox": tmp_path / "outbox.db", "evidence_outbox": tmp_path / "evidence.db"}

    def start(
        sides: tuple[str, ...] = ("left", "right"),
        engine: RedSpotEngine | None = None,
        pace: Pace | None = None,
        anomalies: Choice | None = None,
        golden: Mapping[str, GoldenBoard] | None = None,
        **inference: object,
    ) -> InferenceService:
        settings = InferenceLine(
            sides=sides,
            broker=BrokerSettings(port=broker.port, credentials=broker.credentials_folder),
            inference=InferenceSettings.model_validate(own | inference),
        )
        service = InferenceService(settings, engine or RedSpotEngine(), taxonomy, pace, anomalies, golden)
        stack.callback(service.stop)
        service.start()
        return service

    with ExitStack() as stack:
        yield start


@pytest.fixture
def line(mqtt_probe: Callable[..., Probe]) -> Line:
    return Line(mqtt_probe)
