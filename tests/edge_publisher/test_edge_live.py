"""The edge takes what stands in `system_config`, without a restart."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.hand_fed import HandFed, picture
from support.probe import Probe

from edge_publisher.encoder import Encoder
from edge_publisher.mode import FreeRun, Pacer
from edge_publisher.outgoing import FrameSender
from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.identity import FREE_RUN
from pcb_bus.contract.messages import Frame, LiveConfig, Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns

StartEdge = Callable[..., HandFed]
OpenProbe = Callable[..., Probe]
FRAMES = "pcb/frame/left"


class Edge:
    """An edge in mode `mqtt`, and everyone around it."""

    def __init__(self, start: StartEdge, open_probe: OpenProbe) -> None:
        self.recorder, self.inference = open_probe("recorder"), open_probe("inference")
        self.viewer, self.photo_eye = open_probe("viewer"), open_probe("trigger")
        self.inference.subscribe(FRAMES)
        self.viewer.subscribe("pcb/event/edge-left", "pcb/status/edge-left")
        self._start = start

    def start(self) -> None:
        self._camera = self._start(trigger="mqtt", fps=10.0, jpeg_quality=85, preview_fps=0)
        self._camera.give(picture(now_ns()))
        self.viewer.wait_for("pcb/status/edge-left", lambda each: json.loads(each.payload)["state"] == "online")

    def tell(self, **values: Any) -> None:
        message = encode_json(LiveConfig(values=values, updated_at=now_ns()))
        self.recorder.publish("pcb/config", message, retain=True)

    def quality_of_next_frame(self) -> int:
        """The broker keeps the order: what it was told before the trigger, the edge heard before it."""
        count = len(self.inference.received(FRAMES))
        at = now_ns()
        self._camera.give(picture(at))
        self._camera.give(picture(at + 200 * NS_PER_MS))
        self.photo_eye.publish("pcb/trigger", encode_json(Trigger(board_id=f"{at}", triggered_at=at, source="eye")))
        sent = self.inference.wait_for_count(FRAMES, count + 1)[-1]
        return quantiser_quality(decode_msgpack(Frame, sent.payload).jpeg)


def quantiser_quality(jpeg: bytes) -> int:
    """The quality at which libjpeg writes this first entry of the luminance table, 16 at quality 50."""
    first = jpeg[jpeg.index(b"\xff\xdb") + 5]
    return round(100 - first * 100 / 32) if first <= 16 else round(5000 / (first * 100 / 16))


@pytest.fixture
def edge(start_edge: StartEdge, mqtt_probe: OpenProbe) -> Edge:
    return Edge(start_edge, mqtt_probe)


def test_the_next_frame_has_the_new_quality_and_the_files_when_the_key_is_gone(edge: Edge) -> None:
    edge.start()
    before = edge.quality_of_next_frame()
    edge.tell(jpeg_quality=25.0)
    changed = edge.quality_of_next_frame()
    edge.tell()
    assert (changed, edge.quality_of_next_frame()) == (25, before)


def test_an_edge_that_starts_later_finds_the_value(edge: Edge) -> None:
    edge.tell(jpeg_quality=25)
    edge.start()
    assert edge.quality_of_next_frame() == 25


def test_nonsense_is_one_warning_and_the_file_holds(edge: Edge) -> None:
    edge.start()
    before = edge.quality_of_next_frame()
    edge.tell(jpeg_quality=25)
    for _ in range(3):
        edge.tell(jpeg_quality="best", fps=0)
    assert edge.quality_of_next_frame() == before
    events = [json.loads(each.payload) for each in edge.viewer.wait_for_count("pcb/event/edge-left", 2)]
    assert [(each["level"], each["message"].split()[0]) for each in events] == [
        ("warning", "jpeg_quality"),
        ("warning", "fps"),
    ]


@pytest.mark.parametrize(
    "payload", [b"", b"{", b'{"v": 2, "values": {"jpeg_quality": 40}, "updated_at": "2026-11-21T08:00:00Z"}']
)
def test_a_message_that_breaks_the_contract_changes_nothing(edge: Edge, payload: bytes) -> None:
    edge.start()
    edge.tell(jpeg_quality=25)
    edge.recorder.publish("pcb/config", payload, retain=True)
    assert edge.quality_of_next_frame() == 25


def test_a_pacer_goes_on_at_another_pace() -> None:
    pacer, sent = Pacer(10), []
    for at in range(0, 2 * NS_PER_S, 10 * NS_PER_MS):
        if at == NS_PER_S:
            pacer.pace(2)
        if pacer.due(at):
            sent.append(at // NS_PER_MS)
    assert sent[:3] == [0, 80, 180]  # a quarter of a period early is in time
    assert [at for at in sent if at > 1000] == [1480, 1980]


def test_in_free_run_each_picture_of_a_folder_is_a_board() -> None:
    sent: list[Frame] = []

    def publish(payload: bytes, *, on_done: Callable[[bool], object]) -> bool:
        sent.append(decode_msgpack(Frame, payload))
        return True

    sender = FrameSender("left", Encoder(85, 1920), publish, line_time=lambda at: at + NS_PER_S)
    mode, five = FreeRun(sender, 10, stills=True), [picture(number * 20 * NS_PER_MS) for number in range(1, 6)]
    for ring in ([], five[:1], five[:1], five[:4], five[2:]):
        mode.step(ring, 0)
    assert [frame.captured_at for frame in sent] == [each.captured_at + NS_PER_S for each in five]
    assert all(frame.triggered_at == frame.captured_at for frame in sent)
    assert len({frame.board_id for frame in sent}) == 5
    assert all(str(frame.board_id).startswith(FREE_RUN) for frame in sent), "no trigger is expected"


def test_free_run_takes_the_pace() -> None:
    sent: list[int] = []

    class Sender:
        def send(self, taken: Any) -> None:
            sent.append(taken.captured_at)

    mode = FreeRun(Sender(), 10)  # type: ignore[arg-type]
    mode.pace(1)
    for number in range(20):
        mode.step([picture(number * 100 * NS_PER_MS)], 0)
    assert [at // NS_PER_MS for at in sent] == [0, 800, 1800]
