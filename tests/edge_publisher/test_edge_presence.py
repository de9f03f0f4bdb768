"""Mode `presence` on a real broker: the edges see boards on a moving belt, and one of them announces each."""

from collections.abc import Callable

import pytest
from support.belts import boards_in, show, two_boards
from support.hand_fed import HandFed, picture
from support.peer import until
from support.probe import Probe

from broker import Broker
from edge_publisher.sources import Picture
from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json
from pcb_bus.contract.messages import Event, Frame, NodeStatus, Trigger
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import NS_PER_S, now_ns

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


class TestEdges:
    def test_the_only_edge_of_a_line_announces_each_board_and_sends_that_picture(
        self, start_edge: StartEdge, line: Probe
    ) -> None:
        shown = show([start_edge(sides=("left",), preview_fps=0)], two_boards(), now_ns())
        announced, sent = triggers(line, 2), frames(line, "left", 2)
        assert boards_in((each.captured_at for each in sent), shown) == [[0], [1]]
        assert [(each.board_id, each.triggered_at) for each in sent] == [
            (each.board_id, each.triggered_at) for each in announced
        ]
        assert [each.captured_at // MS * MS for each in sent] == [each.triggered_at for each in announced]
        assert len({each.board_id for each in announced}) == 2
        assert {each.source for each in announced} == {"edge-left"}
        assert all(each.age_ms is not None and each.age_ms < 5_000 for each in announced)
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

    def test_it_says_once_that_nothing_is_set_up(self, start_edge: StartEdge, mqtt_probe: OpenProbe) -> None:
        viewer = mqtt_probe("viewer")
        viewer.subscribe("pcb/event/+")
        start_edge(side="right", presence={"region": (0.1, 0.1, 0.8, 0.8)})
        start_edge()
        event = decode_json(Event, viewer.wait_for("pcb/event/+").payload)
        assert (event.source, event.level) == ("edge-left", "warning")
        assert "python -m edge_publisher set-up" in event.message
