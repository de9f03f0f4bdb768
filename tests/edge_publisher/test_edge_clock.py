"""An edge whose clock is off sends frames by the clock of inference."""

import json
from collections.abc import Callable, Iterator

import pytest
from support.hand_fed import HandFed, picture
from support.peer import broker_settings, until
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.codec import decode_json, decode_msgpack, encode_json
from pcb_bus.contract.messages import Event, Frame, NodeStatus, Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns, steady_ns
from pcb_bus.runtime.clock import LineClock
from pcb_bus.runtime.line_time import tell_time
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import LineSettings

StartEdge = Callable[..., HandFed]
OpenProbe = Callable[..., Probe]
MS = NS_PER_MS
SINCE_1970 = 56 * 31_556_952 * NS_PER_S
STATUS, EVENT = "pcb/status/edge-left", "pcb/event/edge-left"


class Pi:
    """A machine that starts in 1970. `set_by`: what its wall clock was set by since."""

    def __init__(self) -> None:
        self.set_by = 0
        self.clock = LineClock(self.wall, lambda: steady_ns() - SINCE_1970)

    def wall(self) -> int:
        return now_ns() - SINCE_1970 + self.set_by


@pytest.fixture
def viewer(mqtt_probe: OpenProbe) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe(STATUS, EVENT)
    return probe


@pytest.fixture
def inference(broker: Broker) -> Iterator[Service]:
    """It knows what time it is."""
    node = Service("inference_subscriber", "inference", LineSettings(broker=broker_settings(broker)))
    tell_time(node)
    node.start()
    yield node
    node.stop()


def status_of(viewer: Probe, offset_ms: float, within_ms: float = 1000) -> NodeStatus:
    def says(offset: float | None) -> bool:
        return offset is not None and abs(offset - offset_ms) <= within_ms

    found = viewer.wait_for(STATUS, lambda each: says(json.loads(each.payload)["clock_offset_ms"]))
    return decode_json(NodeStatus, found.payload)


def events(viewer: Probe, words: str) -> list[Event]:
    found = [decode_json(Event, each.payload) for each in viewer.received(EVENT)]
    return [each for each in found if words in each.message]


def test_a_pi_that_starts_in_1970_works_and_goes_on_when_its_clock_is_set(
    start_edge: StartEdge,
    inference: Service,
    viewer: Probe,
    mqtt_probe: OpenProbe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pcb_bus.runtime.line_time._EVERY_S", 0.2)
    pi, photo_eye, listener = Pi(), mqtt_probe("trigger"), mqtt_probe("inference")
    listener.subscribe("pcb/frame/left")
    camera = start_edge(clock=pi.clock, trigger="mqtt", preview_fps=0)
    status = status_of(viewer, SINCE_1970 / MS)
    assert "clock" in status.detail
    assert abs(status.updated_at - now_ns()) < 60 * NS_PER_S
    assert abs(status.started_at - now_ns()) < 60 * NS_PER_S

    def frame_of(board: str) -> Frame:
        wall = pi.wall()
        at = (wall + SINCE_1970 - pi.set_by) // MS * MS
        for offset in (-100, 5, 110):
            camera.give(picture(wall + offset * MS, width=200 + offset))
        photo_eye.publish("pcb/trigger", encode_json(Trigger(board_id=board, triggered_at=at, source="eye")))
        received = listener.wait_for(
            "pcb/frame/left", lambda each: decode_msgpack(Frame, each.payload).board_id == board
        )
        frame = decode_msgpack(Frame, received.payload)
        assert (frame.width, frame.triggered_at) == (205, at)
        assert abs(frame.captured_at - at) < 50 * MS
        return frame

    frame_of("in 1970")
    (warning,) = events(viewer, "clock is not the line's")
    assert abs(warning.at - now_ns()) < 60 * NS_PER_S

    pi.set_by = SINCE_1970
    frame_of("now")
    status_of(viewer, 0, within_ms=15)
    until(lambda: bool(events(viewer, "clock was set")))
    (step,) = events(viewer, "clock was set")
    assert step.details["by_ms"] == pytest.approx(SINCE_1970 / MS, abs=15)
    until(lambda: bool(events(viewer, "is the line's again")))
    assert len(events(viewer, "clock is not the line's")) == 1


def test_a_photo_eye_with_a_clock_of_its_own_is_understood_once_it_is_known(
    start_edge: StartEdge, viewer: Probe, mqtt_probe: OpenProbe
) -> None:
    photo_eye, listener = mqtt_probe("trigger"), mqtt_probe("inference")
    listener.subscribe("pcb/frame/left")
    camera = start_edge(trigger="mqtt", preview_fps=0)
    camera.give(picture(now_ns() - NS_PER_S))
    viewer.wait_for(STATUS, lambda each: json.loads(each.payload)["state"] == "online")
    behind = 40 * NS_PER_S
    for number in range(100):
        if listener.received("pcb/frame/left"):
            break
        at = now_ns()
        camera.give(picture(at))
        trigger = Trigger(board_id=f"b{number}", triggered_at=at - behind, source="plc", age_ms=0.0)
        photo_eye.publish("pcb/trigger", encode_json(trigger))
    frame = decode_msgpack(Frame, listener.wait_for("pcb/frame/left").payload)
    assert frame.triggered_at is not None
    assert abs(frame.captured_at - behind - frame.triggered_at) < 60 * MS
    until(lambda: bool(events(viewer, "the clock of plc is not the line's")))
    assert not [each for each in events(viewer, "no picture near") if each.details["board_id"] == frame.board_id]


def test_senders_with_clocks_of_their_own_are_told_and_edges_are_believed(
    start_edge: StartEdge, viewer: Probe, mqtt_probe: OpenProbe
) -> None:
    senders = mqtt_probe("trigger")
    camera = start_edge(trigger="mqtt", preview_fps=0)
    camera.give(picture(now_ns()))
    viewer.wait_for(STATUS, lambda each: json.loads(each.payload)["state"] == "online")
    at = now_ns()
    for source in ("edge-right", "plc"):
        for number in range(3):
            trigger = Trigger(board_id=f"{source}-{number}", triggered_at=at - 40 * NS_PER_S, source=source)
            senders.client.publish("pcb/trigger", encode_json(trigger), 1)
    until(lambda: bool(events(viewer, "the clock of plc is not the line's")))
    assert not events(viewer, "the clock of edge-right")
    assert json.loads(viewer.received(STATUS)[-1].payload)["state"] == "online"
