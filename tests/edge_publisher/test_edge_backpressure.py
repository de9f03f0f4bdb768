"""A network that is away, or too slow: the newest picture wins, and what is lost is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from support.cable import Cable
from support.hand_fed import HandFed, jpeg_of, picture
from support.probe import Probe

from broker import Broker
from edge_publisher.encoder import Encoder
from edge_publisher.mode import FreeRun
from edge_publisher.outgoing import KEPT_BYTES, FrameSender, Overdue
from edge_publisher.sources import Picture
from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.messages import Event, Frame
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.runtime.pins import FACTORY_VARIABLE

OpenProbe = Callable[..., Probe]


class Network:
    """Takes what it is given, and has sent it when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Frame, Callable[[bool], object]]] = []
        self.takes = True

    def publish(self, payload: bytes, *, on_done: Callable[[bool], object]) -> bool:
        if self.takes:
            self.waiting.append((decode_msgpack(Frame, payload), on_done))
        return self.takes

    def send(self) -> int:
        """The oldest goes out; when it was captured."""
        frame, done = self.waiting.pop(0)
        done(True)
        return frame.captured_at


def sender_on(network: Network) -> FrameSender:
    return FrameSender("left", Encoder(85, 1920), network.publish)


def test_on_a_slow_network_the_newest_picture_wins() -> None:
    network = Network()
    mode = FreeRun(sender_on(network), 10, lambda: not network.waiting)
    sent = []
    for number in range(20):
        mode.step([picture(number * 100 * MS)], 0)
        assert len(network.waiting) <= 1
        if number % 5 == 4:
            sent.append(network.send() // MS)
            mode.step([picture(number * 100 * MS)], 0)  # as it does every few milliseconds
    assert sent == [0, 400, 900, 1400]


def test_what_may_be_asked_for_again_is_bounded_by_bytes() -> None:
    network, large = Network(), Picture(0, 64, 48, jpeg=jpeg_of(64, 48) + bytes(3 << 20))
    sender = sender_on(network)
    for number in range(20):
        sender.send(large, (f"board-{number}", number))
    asked = [sender.resend(f"board-{number}", number) is not None for number in range(20)]
    assert asked.count(True) == KEPT_BYTES // (3 << 20)
    assert asked[-1]


class TestOverdue:
    def test_boards_are_reported_together_once_no_more_come(self) -> None:
        overdue = Overdue()
        assert overdue.take(0) == []
        for number in range(3):
            overdue.note((f"board-{number}", number), 10 + number / 2, sent=False)
            assert overdue.take(10.2 + number / 2) == []
        assert overdue.take(12) == ["board-0", "board-1", "board-2"]
        assert overdue.take(60) == []

    def test_where_they_never_end_they_are_reported_now_and_then(self) -> None:
        overdue, told = Overdue(), []
        for number in range(100):
            overdue.note((f"board-{number}", number), number / 2, sent=False)
            told.append(len(overdue.take(number / 2)))
        assert [each for each in told if each] == [21, 21, 21, 21]

    def test_a_frame_that_was_sent_again_is_not_overdue(self) -> None:
        overdue = Overdue()
        overdue.note(("board-1", 1), 0, sent=False)
        overdue.note(("board-1", 1), 0.1, sent=True)
        assert overdue.take(60) == []

    def test_lost_refused_and_late_frames_are_overdue(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [100.0]
        monkeypatch.setattr("edge_publisher.outgoing.time.monotonic", lambda: clock[0])
        network = Network()
        sender = sender_on(network)
        for board in ("sent", "lost", "late"):
            sender.send(picture(0), (board, 1))
        network.waiting[1][1](False)
        network.waiting[0][1](True)
        clock[0] += 5
        network.waiting[2][1](True)
        network.takes = False
        sender.send(picture(0), ("refused", 1))
        assert sender.overdue.take(200) == ["lost", "late", "refused"]


class TestOutage:
    """An edge with a photo-eye, so that boards come although nobody can tell it of them."""

    @pytest.fixture
    def cable(self, broker: Broker) -> Iterator[Cable]:
        with Cable(("127.0.0.1", broker.port)) as cable:
            yield cable

    def test_boards_of_an_outage_are_told_and_the_first_frame_after_it_is_fresh(
        self,
        cable: Cable,
        start_edge: Callable[..., HandFed],
        pins: MockFactory,
        mqtt_probe: OpenProbe,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv(FACTORY_VARIABLE, "mock")
        monkeypatch.setattr(Device, "pin_factory", pins)
        pin, pause = pins.pin(17), threading.Event()
        viewer, inference = mqtt_probe("viewer"), mqtt_probe("inference")
        viewer.subscribe("pcb/status/edge-left", "pcb/event/edge-left", "pcb/trigger")
        inference.subscribe("pcb/frame/left")
        camera = start_edge(port=cable.port, trigger="gpio", gpio={"pin": 17, "debounce_ms": 0}, preview_fps=0)

        def pass_board() -> None:
            pin.drive_low()
            pause.wait(0.005)
            camera.give(picture(now_ns()))
            pause.wait(0.02)
            pin.drive_high()
            pause.wait(0.01)

        camera.give(picture(now_ns()))
        viewer.wait_for("pcb/status/edge-left", lambda message: json.loads(message.payload)["state"] == "online")
        pass_board()
        inference.wait_for("pcb/frame/left")
        with cable.unplugged():
            viewer.wait_for("pcb/status/edge-left", lambda message: json.loads(message.payload)["state"] == "offline")
            for _ in range(3):
                pass_board()
        plugged = now_ns()
        event = viewer.wait_for("pcb/event/edge-left", lambda message: b"in time" in message.payload)
        told = decode_json(Event, event.payload)
        pass_board()
        after = [decode_msgpack(Frame, each.payload) for each in inference.wait_for_count("pcb/frame/left", 2)][1]
        assert after.captured_at > plugged
        assert now_ns() - after.captured_at < 10 * NS_PER_S
        assert told.details["count"] == 3
        announced = [json.loads(each.payload)["board_id"] for each in viewer.wait_for_count("pcb/trigger", 5)]
        assert told.details["boards"] == announced[1:4]
