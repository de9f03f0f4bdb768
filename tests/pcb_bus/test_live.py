"""What stands in `system_config` holds at once where it makes sense; the file's value holds where it does not."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import Field
from support.peer import WAIT_S, broker_settings, until
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Event, LiveConfig
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.live import LiveSettings, LiveValue
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import LineSettings

DELIVERY = Delivery("pcb/config", b"", True, 1, None, None, lambda: None)
Quality = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]


@pytest.fixture
def quality() -> LiveValue[int]:
    return LiveValue("jpeg_quality", Quality, 85)


class Told:
    """A node that does not run, what it heard of `pcb/config`, and the refusals that it told: by key."""

    def __init__(self, *values: LiveValue[Any]) -> None:
        self.refusals: list[tuple[str, dict[str, Any]]] = []
        self.changes = 0
        service = Service("edge_publisher", "edge-left", LineSettings())
        service.event = self._note  # type: ignore[method-assign, assignment]
        self.live = LiveSettings(service, self._on_change, *values)

    def hear(self, **values: Any) -> list[str]:
        """The keys that were refused loudly."""
        before = len(self.refusals)
        self.live._take(LiveConfig(values=values, updated_at=1), DELIVERY)
        return [key for key, _ in self.refusals[before:]]

    def _on_change(self) -> None:
        self.changes += 1

    def _note(self, _: str, message: str, **details: Any) -> None:
        self.refusals.append((message.partition(" ")[0], details))


def test_a_value_holds_until_another_comes_and_the_files_when_its_key_is_gone(quality: LiveValue[int]) -> None:
    told, seen = Told(quality), [quality()]
    for values in ({"jpeg_quality": 90, "other": 1}, {"jpeg_quality": 40}, {"other": 1}):
        assert told.hear(**values) == []
        seen.append(quality())
    assert (seen, told.changes) == ([85, 90, 40, 85], 3)


def test_what_a_command_set_holds_until_the_configuration_says_something_else_of_it(quality: LiveValue[int]) -> None:
    told, seen = Told(quality), []
    told.hear(jpeg_quality=90)
    quality.command(quality.checked(50))
    for values in ({"jpeg_quality": 90}, {"jpeg_quality": 90, "fps": 5.0}, {"jpeg_quality": 40}, {"jpeg_quality": 40}):
        told.hear(**values)
        seen.append((quality(), quality.commanded))
    assert seen == [(50, True), (50, True), (40, False), (40, False)]
    quality.command(60)
    assert (told.hear(jpeg_quality=0), quality()) == (["jpeg_quality"], 85)
    quality.command(60)
    assert (told.hear(jpeg_quality=0), quality()) == ([], 60)


@pytest.mark.parametrize("nonsense", [0, 101, "90", 90.5, True, None, [90], {"a": 1}])
def test_nonsense_is_refused_and_the_files_value_holds(quality: LiveValue[int], nonsense: Any) -> None:
    told = Told(quality)
    told.hear(jpeg_quality=90)
    assert told.hear(jpeg_quality=nonsense) == ["jpeg_quality"]
    ((_, details),) = told.refusals
    assert (details["value"], quality()) == (nonsense, 85)
    assert details["reason"]


def test_the_same_nonsense_is_told_once_and_other_nonsense_anew(quality: LiveValue[int]) -> None:
    told = Told(quality)
    assert [len(told.hear(jpeg_quality=each)) for each in (0, 0, 101, 50, 101)] == [1, 0, 1, 0, 1]


def test_one_wrong_value_does_not_hold_up_the_others(quality: LiveValue[int]) -> None:
    share: LiveValue[float] = LiveValue("confidence", Share, 0.5)
    assert Told(quality, share).hear(jpeg_quality=0, confidence=1) == ["jpeg_quality"]
    assert (quality(), share()) == (85, 1.0)


def test_a_check_of_its_own_refuses_with_its_own_words() -> None:
    def even(value: int) -> None:
        if value % 2:
            raise ValueError("odd")

    value = LiveValue("pairs", int, 2, even)
    told = Told(value)
    told.hear(pairs=3)
    assert (told.refusals[0][1]["reason"], value()) == ("odd", 2)


def test_the_place_of_a_wrong_part_is_named() -> None:
    by_class: LiveValue[dict[str, float]] = LiveValue("class_confidence", dict[str, Share], {})
    told = Told(by_class)
    told.hear(class_confidence={"short": 0.5, "spur": 7})
    assert told.refusals[0][1]["reason"].startswith("spur: ")


def test_a_node_hears_what_is_retained_and_tells_what_it_refuses(
    broker: Broker, mqtt_probe: Callable[..., Probe], quality: LiveValue[int]
) -> None:
    recorder, viewer = mqtt_probe("recorder"), mqtt_probe("viewer")
    viewer.subscribe("pcb/event/+")
    recorder.publish("pcb/config", encode_json(LiveConfig(values={"jpeg_quality": 40}, updated_at=1)), retain=True)
    service = Service("edge_publisher", "edge-left", LineSettings(broker=broker_settings(broker)))
    LiveSettings(service, lambda: None, quality)
    service.start()
    assert service.session.wait_connected(WAIT_S)
    until(lambda: quality() == 40)
    recorder.publish("pcb/config", encode_json(LiveConfig(values={"jpeg_quality": 0}, updated_at=1)), retain=True)
    event = decode_json(Event, viewer.wait_for("pcb/event/edge-left").payload)
    assert (event.level, event.message) == ("warning", "jpeg_quality is refused; the file's value holds")
    until(lambda: quality() == 85)
    service.stop()
