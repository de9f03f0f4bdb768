"""A photo-eye on a pin."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPin
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hand_fed import HandFed, picture
from support.probe import Probe

from edge_publisher.photo_eye import Debounce, PhotoEye
from edge_publisher.settings import EdgeSettings, GpioSettings
from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.messages import Frame, Trigger
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.pins import FACTORY_VARIABLE

HOLD = 5 * MS
Edges = list[tuple[int, bool]]


def boards(edges: Edges, *, broken: bool = False, until: int = 10**12) -> list[int]:
    """When boards came, as somebody finds who looks at each edge and at the end."""
    debounce, came = Debounce(HOLD, broken=broken), []
    for at, now_broken in edges:
        came.append(debounce.look(at))
        debounce.edge(at, broken=now_broken)
    came.append(debounce.look(until))
    return [each for each in came if each is not None]


def at_ms(*edges: tuple[float, bool]) -> Edges:
    return [(round(at * MS), broken) for at, broken in edges]


class TestDebounce:
    def test_a_board_counts_once_from_its_first_moment(self) -> None:
        assert boards(at_ms((100, True), (300, False), (500, True), (700, False))) == [100 * MS, 500 * MS]

    def test_an_edge_that_flickers_is_one_moment(self) -> None:
        flicker = at_ms((100, True), (101, False), (103, True), (104, False), (104.5, True), (300, False), (301, True))
        assert boards(flicker + at_ms((302, False))) == [100 * MS]

    def test_a_spike_is_no_board(self) -> None:
        assert boards(at_ms((100, True), (104.9, False), (200, True), (200.1, False))) == []

    def test_a_gap_of_a_board_is_not_its_end(self) -> None:
        assert boards(at_ms((100, True), (150, False), (153, True), (300, False))) == [100 * MS]

    def test_a_board_that_stands_there_at_the_start_is_nobodys(self) -> None:
        assert boards(at_ms((50, False), (100, True)), broken=True) == [100 * MS]

    def test_it_is_due_when_the_last_edge_has_held(self) -> None:
        debounce = Debounce(HOLD, broken=False)
        assert debounce.due is None
        debounce.edge(100, broken=True)
        assert debounce.due == 100 + HOLD
        assert debounce.look(99 + HOLD) is None
        assert debounce.look(100 + HOLD) == 100
        assert (debounce.due, debounce.look(10**12)) == (None, None)

    @settings(max_examples=40)
    @given(
        st.lists(
            st.tuples(st.integers(10, 1000), st.lists(st.floats(0.1, 4), max_size=6), st.integers(10, 1000)), max_size=6
        )
    )
    def test_however_the_edges_flicker_each_board_is_one(self, passes: list[tuple[int, list[float], int]]) -> None:
        edges: Edges = []
        expected, now = [], 0.0
        for free_ms, flicker, there_ms in passes:
            now += free_ms
            expected.append(round(now * MS))
            for broken in (True, False):
                edges.append((round(now * MS), broken))
                for gap in flicker:
                    now += gap
                    edges += [(round(now * MS), not broken), (round((now + 0.05) * MS), broken)]
                now += there_ms if broken else 0
        assert boards(edges) == expected


@pytest.fixture
def pin(pins: MockFactory, monkeypatch: pytest.MonkeyPatch) -> MockPin:
    """The pin of the photo-eye, of a machine whose pins are these."""
    monkeypatch.setenv(FACTORY_VARIABLE, "mock")
    monkeypatch.setattr(Device, "pin_factory", pins)
    return pins.pin(17)


class TestPhotoEye:
    @pytest.mark.parametrize(("edge", "pull"), [("falling", "up"), ("rising", "down")])
    def test_edges_come_with_their_moments(self, pins: MockFactory, pin: MockPin, edge: str, pull: str) -> None:
        rings: list[int] = []
        chosen = GpioSettings.model_validate({"pin": 17, "edge": edge, "pull": pull})
        with closing(PhotoEye(chosen, pins, lambda: rings.append(1))) as eye:
            breaks, frees = (pin.drive_low, pin.drive_high)[:: 1 if edge == "falling" else -1]
            assert not eye.broken
            before = time.monotonic_ns()
            breaks()
            assert eye.broken
            frees()
            after = time.monotonic_ns()
            edges = eye.edges()
        assert [broken for _, broken in edges] == [True, False]
        assert before <= edges[0][0] <= edges[1][0] <= after
        assert (len(rings), eye.edges()) == (2, [])

    def test_a_time_of_another_clock_is_not_believed(self, pins: MockFactory, pin: MockPin) -> None:
        with closing(PhotoEye(GpioSettings(pin=17), pins, lambda: None)) as eye:
            before = time.monotonic_ns()
            eye._changed(time.time(), 0)
            assert before <= eye.edges()[0][0] <= time.monotonic_ns()

    def test_a_pin_that_is_taken_is_one_line(self, pins: MockFactory, pin: MockPin) -> None:
        chosen = GpioSettings(pin=17)
        with (
            closing(PhotoEye(chosen, pins, lambda: None)),
            pytest.raises(ConfigError, match=r"edge\.gpio\.pin: 17 cannot be used"),
        ):
            PhotoEye(chosen, pins, lambda: None)

    def test_the_mode_needs_a_pin(self) -> None:
        with pytest.raises(ValueError, match=r"needs the pin of the photo-eye: gpio\.pin"):
            EdgeSettings(trigger="gpio")


class TestEdge:
    """An edge in mode gpio on a real broker."""

    @pytest.fixture
    def camera(self, start_edge: Callable[..., HandFed], pin: MockPin, mqtt_probe: Callable[..., Probe]) -> HandFed:
        viewer = mqtt_probe("viewer")
        viewer.subscribe("pcb/status/edge-left")
        camera = start_edge(trigger="gpio", gpio={"pin": 17, "debounce_ms": 2}, preview_fps=0)
        camera.give(picture(now_ns()))
        viewer.wait_for("pcb/status/edge-left", lambda message: json.loads(message.payload)["state"] == "online")
        return camera

    def test_a_board_is_announced_and_answered_with_the_nearest_picture(
        self, camera: HandFed, pin: MockPin, mqtt_probe: Callable[..., Probe]
    ) -> None:
        inference = mqtt_probe("inference")
        inference.subscribe("pcb/frame/left", "pcb/trigger")
        before = now_ns()
        pin.drive_low()
        after = now_ns()
        camera.give(picture(after + MS, width=80))
        camera.give(picture(after + 60 * MS, width=96))
        trigger = decode_json(Trigger, inference.wait_for("pcb/trigger").payload)
        frame = decode_msgpack(Frame, inference.wait_for("pcb/frame/left").payload)
        assert before - MS <= trigger.triggered_at <= after
        assert (trigger.source, frame.board_id, frame.triggered_at) == (
            *("photo-eye-left", trigger.board_id, trigger.triggered_at),
        )
        assert trigger.board_id.startswith("left-")
        assert frame.width == 80
        assert trigger.age_ms is not None
        assert trigger.age_ms >= 2

        pin.drive_high()
        threading.Event().wait(0.01)
        pin.drive_low()
        camera.give(picture(now_ns() + 10 * MS))
        second = inference.wait_for_count("pcb/trigger", 2)[1]
        assert decode_json(Trigger, second.payload).board_id != trigger.board_id
        assert len(inference.wait_for_count("pcb/frame/left", 2)) == 2  # its own trigger came back, and is a repeat

    def test_edges_that_the_kernel_dropped_are_noticed(
        self, camera: HandFed, pin: MockPin, mqtt_probe: Callable[..., Probe]
    ) -> None:
        viewer = mqtt_probe("viewer")
        viewer.subscribe("pcb/trigger")
        pin._edges = "none"
        pin.drive_low()
        for _ in range(4):
            camera.give(picture(now_ns()))
            threading.Event().wait(0.01)
        assert viewer.wait_for("pcb/trigger")
