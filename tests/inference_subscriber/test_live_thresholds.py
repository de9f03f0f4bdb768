"""Thresholds that change while boards pass."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.probe import Probe

from inference_subscriber.engines.base import Anomaly, Findings
from inference_subscriber.service import InferenceService
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import LiveConfig
from pcb_bus.contract.times import now_ns

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


def test_what_is_odd_changes_too(
    line: Line,
    start_service: StartService,
    recorder: Probe,
    red_spots: Any,
    good_jpeg: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    odd = Findings((), Anomaly(0.7, (8.0, 8.0, 16.0, 16.0), np.full((6, 8), 179, np.uint8)))
    monkeypatch.setattr(red_spots, "detect", lambda images: [odd for _ in images])
    start_service(sides=("left",), engine=red_spots, anomaly_threshold=0.6)
    line.viewer.wait_for("pcb/status/inference", lambda each: b'"online"' in each.payload)
    found = [category_of(line, "as the file says", good_jpeg)]
    for number, values in enumerate(({"anomaly_threshold": 0.8}, {"anomaly_threshold": 0.65}, {})):
        tell(recorder, **values)
        found.append(category_of(line, f"change {number}", good_jpeg))
    assert found == ["component", "normal", "component", "component"]


@pytest.mark.parametrize(
    "values", [{"confidence": 1.5}, {"class_confidence": {"no such class": 0.9}}, {"anomaly_threshold": "high"}]
)
def test_nonsense_is_told_and_the_file_holds(
    line: Line, start_service: StartService, recorder: Probe, short_jpeg: bytes, values: dict[str, Any]
) -> None:
    start(line, start_service)
    tell(recorder, **values)
    event = json.loads(recorder.wait_for("pcb/event/inference").payload)
    assert (event["level"], event["message"].split()[0]) == ("warning", next(iter(values)))
    assert category_of(line, "b", short_jpeg) == "solder"
