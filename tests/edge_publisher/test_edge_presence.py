"""Mode `presence` on a real broker: the edges see boards on a moving belt, and one of them announces each."""

from collections.abc import Callable, Iterable

import pytest
from prometheus_client import REGISTRY
from support.hand_fed import HandFed, picture
from support.peer import until
from support.probe import Probe

from broker import Broker
from edge_publisher.sources import Picture
from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json
from pcb_bus.contract.messages import Event, Frame, NodeStatus, Trigger
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import NS_PER_S, now_ns
from simulator.moving_belt import Scene, View, product_boards, views

StartEdge = Callable[..., HandFed]
OpenProbe = Callable[..., Probe]
TWO_BOARDS = Scene(product_boards(1, 2), 2, speed=(0.5, 0.5), lead_s=0.3, gap=(60, 60), fps=15)


def looked_at() -> float:
    return REGISTRY.get_sample_value("boardline_edge_look_seconds_count") or 0.0


@pytest.fixture(scope="module")
def belt() -> list[View]:
    """Two boards go by."""
    return list(views(TWO_BOARDS))


def show(cameras: HandFed | Iterable[HandFed], belt: Iterable[View], start: int = 0) -> dict[int, View]:
    """Every picture of the belt to each camera, as fast as the edges look at them; what they show, by their times."""
    cameras, start, shown = [cameras] if isinstance(cameras, HandFed) else list(cameras), start or now_ns(), {}
    for view in belt:
        at, before = start + view.captured_at_ns, looked_at()
        for camera in cameras:
            camera.give(Picture(at, 640, 480, image=view.image))
        until(lambda before=before: looked_at() >= before + len(cameras))  # type: ignore[misc]
        shown[at] = view
    return shown


def boards_in(times: Iterable[int], shown: dict[int, View]) -> list[list[int]]:
    """The boards that are whole in the pictures of these times."""
    views = (shown[at] for at in times)
    return [[board for board in view.boards if view.whole(board)] for view in views]


@pytest.fixture
def line(mqtt_probe: OpenProbe) -> Probe:
    """Hears what inference hears, and says who leads."""
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
        self, start_edge: StartEdge, line: Probe, belt: list[View]
    ) -> None:
        shown = show(start_edge(sides=("left",), preview_fps=0), belt)
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

    def test_the_edge_that_leads_announces_and_the_other_answers(
        self, start_edge: StartEdge, line: Probe, belt: list[View]
    ) -> None:
        cameras = [start_edge(side=side, preview_fps=0) for side in ("left", "right")]
        appoint(line, "edge-right")
        for side in ("left", "right"):
            wait_for_leader(line, f"edge-{side}", "edge-right")
        show(cameras, belt)
        announced = triggers(line, 2)
        assert {each.source for each in announced} == {"edge-right"}
        passes = [(each.board_id, each.triggered_at) for each in announced]
        for side in ("left", "right"):
            assert [(each.board_id, each.triggered_at) for each in frames(line, side, 2)] == passes
            assert [each.captured_at // MS * MS for each in frames(line, side, 2)] == [at for _, at in passes]
        assert len(line.received("pcb/trigger")) == 2
        assert len(line.received("pcb/frame/+")) == 4

    def test_nobody_announces_before_one_is_appointed_who_then_does(
        self, start_edge: StartEdge, line: Probe, belt: list[View]
    ) -> None:
        """An edge that starts later knows: the status is retained."""
        shown = show(start_edge(preview_fps=0), belt)
        assert line.received("pcb/trigger") == []
        appoint(line, "edge-left")
        assert boards_in((each.captured_at for each in frames(line, "left", 2)), shown) == [[0], [1]]
        camera = start_edge(side="right", preview_fps=0)
        status = wait_for_leader(line, "edge-right", "edge-left")
        assert (status.trigger, status.sees) == ("presence", False)
        camera.give(picture(now_ns()))
        line.wait_for("pcb/status/edge-right", lambda each: decode_json(NodeStatus, each.payload).sees is True)

    def test_boards_that_nobody_announces_are_told_and_announced_when_it_is_appointed(
        self, start_edge: StartEdge, line: Probe, mqtt_probe: OpenProbe, belt: list[View]
    ) -> None:
        camera = start_edge(preview_fps=0)
        appoint(line, "edge-right")
        wait_for_leader(line, "edge-left", "edge-right")
        shown = show(camera, belt)
        line.wait_for("pcb/status/edge-left", lambda each: decode_json(NodeStatus, each.payload).overlooked == 2)
        appoint(line, "edge-left")
        assert boards_in((each.captured_at for each in frames(line, "left", 2)), shown) == [[0], [1]]
        assert [each.source for each in triggers(line, 2)] == ["edge-left"] * 2

    def test_a_trigger_survives_an_outage_of_the_broker(
        self, start_edge: StartEdge, broker: Broker, mqtt_probe: OpenProbe, line: Probe, belt: list[View]
    ) -> None:
        camera = start_edge(sides=("left",), preview_fps=0)
        camera.give(Picture(now_ns() - NS_PER_S, 640, 480, image=belt[0].image))
        wait_for_leader(line, "edge-left", "edge-left")
        broker.kill()
        show(camera, belt)
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
