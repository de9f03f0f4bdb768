"""Mode `presence` on a real broker: the edges see boards on a moving belt, and one of them announces each."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.belts import boards_in, show, two_boards
from support.hand_fed import HandFed, picture
from support.peer import until
from support.probe import Probe

from broker import Broker
from edge_publisher.on_presence import decode_small
from edge_publisher.passes import Passes, Seen
from edge_publisher.sources import Picture
from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json
from pcb_bus.contract.messages import Event, Frame, NodeStatus, Trigger
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import ConfigError
from simulator.moving_belt import Scene, product_boards, views

StartEdge = Callable[..., HandFed]
OpenProbe = Callable[..., Probe]


@pytest.fixture
def line(mqtt_probe: OpenProbe) -> Probe:
    """Hears what inference hears, and says who leads."""
    two_boards()  # drawing them takes longer than a camera may be silent
    probe = mqtt_probe("inference")
    probe.subscribe("pcb/frame/+", "pcb/trigger", "pcb/status/+")
    return probe


def appoint(line: Probe, leader: str) -> None:
    now = now_ns()
    status = NodeStatus(
        state="online", service="inference", node="inference", version="1", host="pc", started_at=now, updated_at=now,
        leader=leader,
    )  # fmt: skip
    line.publish("pcb/status/inference", encode_json(status), retain=True)


def wait_for_leader(line: Probe, edge: str, leader: str | None) -> NodeStatus:
    """The status of an edge that knows this leader."""
    found = line.wait_for(f"pcb/status/{edge}", lambda each: decode_json(NodeStatus, each.payload).leader == leader)
    return decode_json(NodeStatus, found.payload)


def triggers(line: Probe, count: int) -> list[Trigger]:
    return [decode_json(Trigger, each.payload) for each in line.wait_for_count("pcb/trigger", count)]


def frames(line: Probe, side: str, count: int) -> list[Frame]:
    return [decode_msgpack(Frame, each.payload) for each in line.wait_for_count(f"pcb/frame/{side}", count)]


class TestPasses:
    """Which boards an edge announces; times of boards and of the clock in ms."""

    def seen(self, at_ms: int, size: int = 8) -> Seen:
        return Seen(Picture(at_ms * MS, size, 1, jpeg=bytes(size)), at_ms * MS)

    def times(self, boards: Iterable[Seen]) -> list[int]:
        return [each.picture.captured_at // MS for each in boards]

    def test_the_edge_that_leads_announces_each_board(self) -> None:
        passes = Passes("edge-left", "edge-left")
        assert [self.times(passes.saw(self.seen(at), at * MS)) for at in (0, 500)] == [[0], [500]]
        assert (passes.appoint("edge-right", 600 * MS), passes.saw(self.seen(1000), 1000 * MS)) == ([], [])

    def test_one_that_is_appointed_announces_what_came_since_the_last_trigger(self) -> None:
        """The board of that trigger itself may have been seen up to 200 ms later on this side."""
        passes = Passes("edge-right", "edge-left")
        for at in (0, 550, 1020):
            passes.saw(self.seen(at), (at + 150) * MS)
            if at == 550:
                passes.heard(450 * MS, 600 * MS)
        assert self.times(passes.appoint("edge-right", 1300 * MS)) == [1020]
        assert passes.appoint("edge-right", 1300 * MS) == []

    def test_a_trigger_that_comes_before_its_board_is_seen_is_that_boards(self) -> None:
        passes = Passes("edge-right", "edge-left")
        passes.heard(0, 100 * MS)
        passes.saw(self.seen(190), 340 * MS)
        assert (passes.overlooked, passes.appoint("edge-right", 400 * MS)) == (0, [])

    def test_it_counts_boards_that_nobody_announces(self) -> None:
        passes = Passes("edge-right", "edge-left")
        for at in (0, 400, 800):
            passes.saw(self.seen(at), (at + 150) * MS)
        assert passes.overlooked == 3
        passes.heard(900 * MS, 1000 * MS)
        assert passes.overlooked == 0
        passes.saw(self.seen(1200), 1350 * MS)
        assert passes.overlooked == 0, "it may be that of a trigger which came first"
        passes.saw(self.seen(1600), 1750 * MS)
        assert passes.overlooked == 1

    def test_what_it_keeps_is_bounded_in_number_bytes_and_time(self) -> None:
        many, large, old = (Passes("edge-left") for _ in range(3))
        for at in range(40):
            many.saw(self.seen(at), at * MS)
            large.saw(self.seen(at, size=20 * 2**20), at * MS)
        old.saw(self.seen(0), 0)
        assert self.times(many.appoint("edge-left", 100 * MS)) == list(range(24, 40))
        assert self.times(large.appoint("edge-left", 100 * MS)) == [39]
        assert old.appoint("edge-left", 301_000 * MS) == []

    def test_two_boards_in_one_night_are_not_two_in_a_row(self) -> None:
        passes = Passes("edge-right", "edge-left")
        for at in (0, 400_000):
            passes.saw(self.seen(at), at * MS)
        assert passes.overlooked == 1


@pytest.mark.parametrize(("width", "smaller"), [(320, 320), (640, 320), (1920, 480), (4000, 500)])
def test_a_jpeg_is_decoded_no_larger_than_boards_need(width: int, smaller: int) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((width * 3 // 4, width, 3), np.uint8))[1].tobytes()
    image = decode_small(Picture(1, width, width * 3 // 4, jpeg=jpeg))
    assert image is not None
    assert image.shape == (smaller * 3 // 4, smaller, 3)


class TestEdges:
    def test_the_only_edge_of_a_line_announces_each_board_and_sends_that_picture(
        self, start_edge: StartEdge, line: Probe
    ) -> None:
        shown = show([start_edge(sides=("left",), preview_fps=0)], two_boards(), now_ns(), jpeg=True)
        announced, sent = triggers(line, 2), frames(line, "left", 2)
        assert boards_in((each.captured_at for each in sent), shown) == [[0], [1]]
        assert [(each.board_id, each.triggered_at) for each in sent] == [
            (each.board_id, each.triggered_at) for each in announced
        ]
        assert [each.captured_at // MS * MS for each in sent] == [each.triggered_at for each in announced]
        assert len({each.board_id for each in announced}) == 2
        assert {each.source for each in announced} == {"edge-left"}
        assert all(each.age_ms is not None and each.age_ms < 5_000 for each in announced)
        images = [cv2.imencode(".jpg", shown[each.captured_at].image)[1].tobytes() for each in sent]
        assert [each.jpeg for each in sent] == images, "as it came"
        assert len(line.received("pcb/trigger")) == len(line.received("pcb/frame/left")) == 2

    def test_the_edge_that_leads_announces_and_the_other_answers(self, start_edge: StartEdge, line: Probe) -> None:
        cameras = [start_edge(side=side, preview_fps=0) for side in ("left", "right")]
        appoint(line, "edge-right")
        for side in ("left", "right"):
            wait_for_leader(line, f"edge-{side}", "edge-right")
        show(cameras, two_boards(), now_ns())
        announced = triggers(line, 2)
        assert {each.source for each in announced} == {"edge-right"}
        passes = [(each.board_id, each.triggered_at) for each in announced]
        for side in ("left", "right"):
            assert [(each.board_id, each.triggered_at) for each in frames(line, side, 2)] == passes
            assert [each.captured_at // MS * MS for each in frames(line, side, 2)] == [at for _, at in passes]
        assert len(line.received("pcb/trigger")) == 2
        assert len(line.received("pcb/frame/+")) == 4

    def test_nobody_announces_before_one_is_appointed_who_then_does(self, start_edge: StartEdge, line: Probe) -> None:
        """An edge that starts later knows: the status is retained."""
        shown = show([start_edge(preview_fps=0)], two_boards(), now_ns())
        assert line.received("pcb/trigger") == []
        appoint(line, "edge-left")
        assert boards_in((each.captured_at for each in frames(line, "left", 2)), shown) == [[0], [1]]
        camera = start_edge(side="right", preview_fps=0)
        status = wait_for_leader(line, "edge-right", "edge-left")
        assert (status.trigger, status.sees) == ("presence", False)
        camera.give(picture(now_ns()))
        line.wait_for("pcb/status/edge-right", lambda each: decode_json(NodeStatus, each.payload).sees is True)

    def test_boards_that_nobody_announces_are_told_and_announced_when_it_is_appointed(
        self, start_edge: StartEdge, line: Probe, mqtt_probe: OpenProbe
    ) -> None:
        camera = start_edge(preview_fps=0)
        appoint(line, "edge-right")
        wait_for_leader(line, "edge-left", "edge-right")
        shown = show([camera], two_boards(), now_ns())
        line.wait_for("pcb/status/edge-left", lambda each: decode_json(NodeStatus, each.payload).overlooked == 2)
        appoint(line, "edge-left")
        assert boards_in((each.captured_at for each in frames(line, "left", 2)), shown) == [[0], [1]]
        assert [each.source for each in triggers(line, 2)] == ["edge-left"] * 2

    def test_a_trigger_survives_an_outage_of_the_broker(
        self, start_edge: StartEdge, broker: Broker, mqtt_probe: OpenProbe, line: Probe
    ) -> None:
        camera = start_edge(sides=("left",), preview_fps=0)
        camera.give(Picture(now_ns() - NS_PER_S, 640, 480, image=two_boards()[0].image))
        wait_for_leader(line, "edge-left", "edge-left")
        broker.kill()
        show([camera], two_boards(), now_ns())
        broker.start()
        recorder = mqtt_probe("recorder")
        recorder.subscribe("pcb/trigger", "pcb/resend/trigger")
        until(lambda: len({decode_json(Trigger, each.payload).board_id for each in recorder.received("pcb/#")}) == 2)

    def test_a_board_that_is_never_all_in_view_is_not_inspected(self, start_edge: StartEdge, line: Probe) -> None:
        """How long boards are is known once some have gone by."""
        belt = views(Scene(product_boards(1, 2), 4, speed=(0.5, 0.5), lead_s=0.5, gap=(60, 300), fps=10))
        near = [replace(each, image=each.image[:, :300]) for each in belt]
        show([start_edge(sides=("left",), preview_fps=0)], near, now_ns())
        qualities = [str(each.quality) for each in frames(line, "left", 4)]
        assert any(each.startswith("partial: ") and "move the camera away" in each for each in qualities)

    def test_a_photo_eye_beside_it_is_told(self, start_edge: StartEdge, line: Probe, mqtt_probe: OpenProbe) -> None:
        viewer, photo_eye = mqtt_probe("viewer"), mqtt_probe("trigger")
        viewer.subscribe("pcb/event/edge-left")
        start_edge(sides=("left",), preview_fps=0)
        wait_for_leader(line, "edge-left", "edge-left")
        for number in range(2):
            photo_eye.publish(
                "pcb/trigger", encode_json(Trigger(board_id=f"{number}", triggered_at=number, source="plc"))
            )
        line.wait_for_count("pcb/trigger", 2)
        viewer.wait_for("pcb/event/edge-left", lambda each: b"plc announces boards as well" in each.payload)
        wait_for_leader(line, "edge-left", "edge-left")
        events = [decode_json(Event, each.payload).message for each in viewer.received("pcb/event/edge-left")]
        assert sum("set edge.trigger to mqtt" in each for each in events) == 1

    def test_a_folder_for_its_triggers_that_cannot_be_used_is_named(
        self, start_edge: StartEdge, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match=r"^edge\.outbox: "):
            start_edge(outbox=tmp_path / "file")

    def test_it_says_once_that_nothing_is_set_up(self, start_edge: StartEdge, mqtt_probe: OpenProbe) -> None:
        viewer = mqtt_probe("viewer")
        viewer.subscribe("pcb/event/+")
        start_edge(side="right", presence={"region": (0.1, 0.1, 0.8, 0.8)})
        start_edge()
        event = decode_json(Event, viewer.wait_for("pcb/event/+").payload)
        assert (event.source, event.level) == ("edge-left", "warning")
        assert "python -m edge_publisher set-up" in event.message
