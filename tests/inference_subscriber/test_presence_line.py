"""A line without any sensor: real edges see the boards, and inference says which of them announces these."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.belts import show, two_boards
from support.cable import Cable
from support.hand_fed import HandFed
from support.peer import until
from support.probe import Probe

from broker import Broker
from edge_publisher.service import EdgeService
from edge_publisher.settings import EdgeLineSettings, EdgeSettings
from edge_publisher.sources import Picture
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.runtime.settings import BrokerSettings

pytestmark = pytest.mark.timeout(60)
COVERED = np.random.default_rng(1).normal(60, 1, (480, 640, 3)).astype(np.uint8)


class PresenceLine:
    """Inference, edges on both sides, and a viewer."""

    def __init__(self, broker: Broker, folder: Path, stack: ExitStack, viewer: Probe) -> None:
        self._broker, self._folder, self._stack = broker, folder, stack
        self._edges: dict[HandFed, EdgeService] = {}
        self.port = broker.port
        self.viewer = viewer
        viewer.subscribe("pcb/verdict", "pcb/trigger", "pcb/status/+")

    def edge(self, side: str, port: int | None = None) -> HandFed:
        settings = EdgeLineSettings(
            broker=BrokerSettings(port=port or self.port, credentials=self._broker.credentials_folder),
            edge=EdgeSettings.model_validate({"side": side, "outbox": self._folder / "edge", "preview_fps": 0}),
        )
        camera = HandFed()
        edge = EdgeService(settings, camera)
        self._stack.callback(lambda: camera in self._edges and self.stop(camera))
        self._edges[camera] = edge
        edge.start()
        camera.give(Picture(now_ns() - 3 * NS_PER_S, 640, 480, image=two_boards()[0].image))
        return camera

    def stop(self, camera: HandFed) -> None:
        self._edges.pop(camera).stop()

    def wait_for_leader(self, name: str, edges: int = 2) -> None:
        """Until inference has appointed it, and as many edges know."""

        def everybody_knows() -> bool:
            said = {each.topic: json.loads(each.payload) for each in self.viewer.received("pcb/status/+")}
            return [status.get("leader") for status in said.values()].count(name) == edges + 1

        until(everybody_knows)

    def sources(self) -> list[str]:
        return [json.loads(each.payload)["source"] for each in self.viewer.received("pcb/trigger")]

    def verdicts(self, count: int) -> list[dict[str, Any]]:
        return [json.loads(each.payload) for each in self.viewer.wait_for_count("pcb/verdict", count)]


@pytest.fixture
def quick_to_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules, in less time."""
    monkeypatch.setattr("pcb_bus.mqtt.session._BACKOFF_S", (0.02, 0.03))
    monkeypatch.setattr("pcb_bus.mqtt.session._BACKOFF_MAX_S", (0.3, 0.4))


@pytest.fixture
def presence_line(
    broker: Broker, tmp_path: Path, mqtt_probe: Callable[..., Probe], start_service: Callable[..., object]
) -> Iterator[PresenceLine]:
    two_boards()  # drawing them takes longer than a camera may be silent
    start_service()
    with ExitStack() as stack:
        yield PresenceLine(broker, tmp_path, stack, mqtt_probe("viewer"))


def test_each_board_gets_one_verdict_on_both_sides(presence_line: PresenceLine) -> None:
    cameras = [presence_line.edge(side) for side in ("left", "right")]
    presence_line.wait_for_leader("edge-left")
    show(cameras, two_boards(), now_ns() - 3 * NS_PER_S // 2)
    verdicts = presence_line.verdicts(2)
    assert presence_line.sources() == ["edge-left"] * 2
    assert [each["status"] for each in verdicts] == ["ok", "ok"]
    assert all(each[side]["captured_at"] == each["captured_at"] for each in verdicts for side in ("left", "right"))


def test_another_edge_leads_when_the_camera_of_the_first_is_covered(presence_line: PresenceLine) -> None:
    """Its pictures are those of an empty belt, for all that anybody can tell; but the other edge sees boards."""
    cameras = [presence_line.edge(side) for side in ("left", "right")]
    presence_line.wait_for_leader("edge-left")
    show(cameras, two_boards(), now_ns() - 3 * NS_PER_S // 2, COVERED)
    presence_line.wait_for_leader("edge-right")
    verdicts = presence_line.verdicts(2)
    assert presence_line.sources() == ["edge-right"] * 2
    assert [(each["category"], each["right"]["category"]) for each in verdicts] == [("unjudged", "normal")] * 2
    assert len(presence_line.viewer.received("pcb/verdict")) == 2


def test_another_edge_leads_when_the_first_is_cut_off_and_goes_on_when_that_is_back(
    quick_to_reconnect: None, presence_line: PresenceLine
) -> None:
    """To everybody else, an edge that is cut off is one that was killed: the broker publishes its will."""
    with Cable(("127.0.0.1", presence_line.port)) as cable:
        cameras = [presence_line.edge("left", cable.port), presence_line.edge("right")]
        presence_line.wait_for_leader("edge-left")
        with cable.unplugged():
            presence_line.wait_for_leader("edge-right", edges=1)
            show(cameras, two_boards(), now_ns() - 3 * NS_PER_S // 2)
            verdicts = presence_line.verdicts(2)
            assert presence_line.sources() == ["edge-right"] * 2
            assert [(each["left"], each["right"]["category"]) for each in verdicts] == [(None, "normal")] * 2
        presence_line.wait_for_leader("edge-right")
        presence_line.viewer.wait_for_count("pcb/trigger", 4)
        assert presence_line.sources()[2:] == ["edge-left"] * 2, "it did not know"
        show(cameras[1:], two_boards(), now_ns() - 3 * NS_PER_S // 2)
        assert len({each["verdict_id"] for each in presence_line.verdicts(4)}) == 4, "two of boards that come now"


def test_an_edge_that_starts_again_answers_the_one_that_leads_meanwhile(presence_line: PresenceLine) -> None:
    left, right = presence_line.edge("left"), presence_line.edge("right")
    presence_line.wait_for_leader("edge-left")
    presence_line.stop(left)
    presence_line.wait_for_leader("edge-right", edges=1)
    left = presence_line.edge("left")
    presence_line.wait_for_leader("edge-right")
    show([left, right], two_boards(), now_ns() - 3 * NS_PER_S // 2)
    assert [each["status"] for each in presence_line.verdicts(2)] == ["ok", "ok"]
    assert presence_line.sources() == ["edge-right"] * 2
