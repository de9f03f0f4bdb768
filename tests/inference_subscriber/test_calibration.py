"""Temperature and thresholds from the card beside a model."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_subscriber.engines import digest, open_engine
from inference_subscriber.engines.base import DetectOptions, Placement, Thresholds
from inference_subscriber.engines.calibration import UNCALIBRATED, Calibration, read_calibration
from inference_subscriber.engines.letterbox import fit
from inference_subscriber.engines.yolo import YoloReader
from pcb_bus.errors import ConfigError
from simulator.bare_board import DEFECT_CLASSES, draw_board

_EXACT = Placement("cpu", exact=True)


def write_card(folder: Path, sha256: str, **calibration: Any) -> Path:
    card = {"files": {"model.onnx": {"sha256": sha256}}, "calibration": calibration}
    (folder / "card.json").write_text(json.dumps(card))
    return folder / "model.onnx"


@given(st.floats(0.001, 0.999), st.floats(0.2, 5))
def test_score_and_confidence_undo_each_other(confidence: float, temperature: float) -> None:
    calibration = Calibration(temperature)
    score = calibration.score(confidence)
    assert calibration.confidence(np.array([score]))[0] == pytest.approx(confidence)


def test_a_temperature_over_one_makes_less_sure_and_keeps_order_and_ends() -> None:
    confidences = Calibration(2.0).confidence(np.array([0, 0.2, 0.5, 0.9, 1]))
    assert confidences.tolist() == pytest.approx([0, 1 / 3, 0.5, 0.75, 1])


def test_the_card_holds_for_the_weights_that_it_lists(tmp_path: Path) -> None:
    model = write_card(tmp_path, "a" * 64, temperature=1.5, thresholds={"short": 0.3})
    assert read_calibration(model, "a" * 64) == Calibration(1.5, {"short": 0.3})
    assert read_calibration(model, "b" * 64) == UNCALIBRATED


def test_no_card_and_a_card_without_calibration_say_nothing(tmp_path: Path) -> None:
    assert read_calibration(tmp_path / "model.onnx", "a" * 64) == UNCALIBRATED
    (tmp_path / "card.json").write_text(json.dumps({"files": {"model.onnx": {"sha256": "a" * 64}}}))
    assert read_calibration(tmp_path / "model.onnx", "a" * 64) == UNCALIBRATED


@pytest.mark.parametrize(
    ("calibration", "key"),
    [
        ({"temperature": 0, "thresholds": {}}, r"calibration\.temperature"),
        ({"temperature": float("nan"), "thresholds": {}}, r"calibration\.temperature"),
        ({"temperature": 1}, r"calibration\.thresholds"),
        ({"temperature": 1, "thresholds": {"short": 1.5}}, r"calibration\.thresholds\.short"),
    ],
)
def test_a_wrong_card_is_named_with_its_key(tmp_path: Path, calibration: dict[str, Any], key: str) -> None:
    model = write_card(tmp_path, "a" * 64, **calibration)
    with pytest.raises(ConfigError, match=rf"inference\.model: .*card\.json: {key}: "):
        read_calibration(model, "a" * 64)


def test_a_card_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ConfigError, match=r"card\.json: Invalid JSON"):
        read_calibration(tmp_path / "model.onnx", "a" * 64)


def test_the_reader_compares_confidences_and_not_scores() -> None:
    reader = YoloReader(("short", "spur"), Thresholds(), 0.5, Calibration(2.0, {"short": 0.7}))
    output = np.array([(50, 50, 20, 20, 0.9, 0), (150, 50, 20, 20, 0.8, 0), (250, 50, 20, 20, 0, 0.6)], np.float32).T
    found = reader.read(output, fit(640, 480, 640))
    assert [(each.class_name, round(each.confidence, 3)) for each in found] == [("short", 0.75), ("spur", 0.551)]


def test_what_the_line_says_counts_more_than_the_card() -> None:
    own = {"short": 0.7}
    assert Thresholds().of("short", own) == 0.7
    assert Thresholds().of("spur", own) == 0.5
    assert Thresholds(0.2).of("short", own) == 0.2
    assert Thresholds(0.2, {"short": 0.4}).of("short", own) == 0.4


@pytest.fixture
def starter(tmp_path: Path, pytestconfig: pytest.Config) -> Path:
    """The starter's weights in a folder with another card, or none."""
    model = tmp_path / "model.onnx"
    shutil.copyfile(pytestconfig.rootpath / "models" / "starter" / "boardline-starter.onnx", model)
    return model


def test_an_engine_takes_the_card_beside_its_model(starter: Path) -> None:
    image = draw_board(3, 640, 480, DEFECT_CLASSES).image
    (plain,) = open_engine(starter, _EXACT, DetectOptions()).detect([image])
    write_card(starter.parent, digest(starter), temperature=1.5, thresholds={"spur": 1.0})
    (calibrated,) = open_engine(starter, _EXACT, DetectOptions()).detect([image])
    expected = [each for each in plain.detections if each.class_name != "spur"]
    assert expected
    assert [each.class_name for each in calibrated.detections] == [each.class_name for each in expected]
    scores = np.array([each.confidence for each in expected])
    confidences = [each.confidence for each in calibrated.detections]
    assert confidences == pytest.approx(Calibration(1.5).confidence(scores), abs=1e-4)


def test_a_card_for_classes_that_the_model_lacks_is_refused(starter: Path) -> None:
    write_card(starter.parent, digest(starter), temperature=1, thresholds={"short": 0.5, "crack": 0.5, "bend": 0.5})
    with pytest.raises(ConfigError, match=r"card\.json: calibration\.thresholds: model\.onnx lacks bend, crack"):
        open_engine(starter, _EXACT, DetectOptions())
