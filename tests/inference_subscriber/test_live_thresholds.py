"""Thresholds that change while boards pass."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.probe import Probe

from inference_subscriber.service import InferenceService
from pcb_bus.clock import now_ns
from pcb_bus.codec import encode_json
from pcb_bus.messages import LiveConfig

Line = Any  # see conftest
StartService = Callable[..., InferenceService]


@pytest.fixture
def recorder(mqtt_probe: Callable[..., Probe]) -> Probe:
    probe = mqtt_probe("recorder")
    probe.subscribe("pcb/event/inference")
    return probe


def tell(recorder: Probe, **values: Any) -> None:
    recorder.publish("pcb/config", encode_json(LiveConfig(values=values, updated_at=now_ns())), retain=True)


def start(line: Line, start_service: StartService) -> None:
    start_service(sides=("left",))
    line.viewer.wait_for("pcb/status/inference", lambda each: b'"online"' in each.payload)


def category_of(line: Line, board_id: str, jpeg: bytes) -> str:
    """The broker keeps the order: what it was told before the trigger, inference heard before it."""
    at = line.trigger(board_id)
    line.show("left", jpeg, board_id=board_id, triggered_at=at)
    return str(line.verdict_on(board_id)["category"])


def test_the_next_board_is_judged_by_the_new_thresholds(
    line: Line, start_service: StartService, recorder: Probe, short_jpeg: bytes
) -> None:
    start(line, start_service)
    found = [category_of(line, "as the file says", short_jpeg)]
    for number, values in enumerate(
        ({"confidence": 0.95}, {"confidence": 0.95, "class_confidence": {"short": 0.8}}, {})
    ):
        tell(recorder, **values)
        found.append(category_of(line, f"change {number}", short_jpeg))
    assert found == ["solder", "normal", "solder", "solder"]


def test_inference_that_starts_later_finds_the_value(
    line: Line, start_service: StartService, recorder: Probe, short_jpeg: bytes
) -> None:
    tell(recorder, confidence=0.95)
    start(line, start_service)
    assert category_of(line, "b", short_jpeg) == "normal"


@pytest.mark.parametrize("values", [{"confidence": 1.5}, {"class_confidence": {"no such class": 0.9}}])
def test_nonsense_is_told_and_the_file_holds(
    line: Line, start_service: StartService, recorder: Probe, short_jpeg: bytes, values: dict[str, Any]
) -> None:
    start(line, start_service)
    tell(recorder, **values)
    event = json.loads(recorder.wait_for("pcb/event/inference").payload)
    assert (event["level"], event["message"].split()[0]) == ("warning", next(iter(values)))
    assert category_of(line, "b", short_jpeg) == "solder"
