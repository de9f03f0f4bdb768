"""A line whose anomaly files are refused runs on without a score, and says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference_subscriber.anomaly.choosing import Choice
from inference_subscriber.service import InferenceService, build
from inference_subscriber.settings import InferenceLine, InferenceSettings
from pcb_bus.errors import ConfigError


def test_the_node_is_degraded_and_judges_on(
    start_service: Callable[..., InferenceService], line: Any, good_jpeg: bytes
) -> None:
    start_service(sides=("left",), anomalies=Choice(refused={"left": "left.npz is of the side right"}))
    status = line.viewer.wait_for("pcb/status/inference", lambda each: b"degraded" in each.payload)
    assert json.loads(status.payload)["detail"] == "no anomaly score on left: left.npz is of the side right"
    line.show("left", good_jpeg, board_id="b")
    assert line.verdicts(1)[0]["left"]["anomaly_score"] is None


def test_a_side_that_the_line_lacks_is_a_wrong_setting(tmp_path: Path) -> None:
    inference = InferenceSettings(anomaly={"top": tmp_path / "top.npz"})
    with pytest.raises(ConfigError, match=r"inference\.anomaly: top is none of the sides left, right"):
        build(InferenceLine(inference=inference))
