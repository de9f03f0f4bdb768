"""The keys of the section, and how wrong ones are named."""

from pathlib import Path

import pytest

from inference_subscriber.service import build
from inference_subscriber.settings import InferenceLine
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import load_settings


@pytest.fixture
def shipped(pytestconfig: pytest.Config) -> Path:
    return pytestconfig.rootpath / "config" / "line.yaml"


def test_the_shipped_file_is_what_the_code_assumes(shipped: Path) -> None:
    assert load_settings(InferenceLine, ["--config", str(shipped)]).inference == InferenceLine().inference


def test_class_thresholds_reach_the_engine(tmp_path: Path) -> None:
    config = tmp_path / "line.yaml"
    config.write_text("inference: {confidence: 0.3, class_confidence: {short: 0.6}}")
    thresholds = load_settings(InferenceLine, ["--config", str(config)]).detect_options.thresholds
    assert (thresholds.of("short"), thresholds.of("spur")) == (0.6, 0.3)


def test_thresholds_are_the_models_own_where_the_file_says_nothing() -> None:
    thresholds = InferenceLine().detect_options.thresholds
    assert thresholds.of("short", {"short": 0.31}) == 0.31


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [
        ("--inference.confidence", "2", "inference.confidence"),
        ("--inference.join_timeout_ms", "soon", "inference.join_timeout_ms"),
        ("--inference.evidence_share", "nan", "inference.evidence_share"),
        ("--inference.max_batch", "0", "inference.max_batch"),
    ],
)
def test_a_wrong_value_is_named(option: str, value: str, key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load_settings(InferenceLine, [option, value])


def test_a_threshold_for_a_class_that_the_model_lacks_is_named(pytestconfig: pytest.Config) -> None:
    model = pytestconfig.rootpath / "models" / "starter" / "boardline-starter.onnx"
    taxonomy = pytestconfig.rootpath / "config" / "pcb_defects.yaml"
    settings = InferenceLine(taxonomy=taxonomy, inference={"model": model, "class_confidence": {"scratch": 0.5}})
    with pytest.raises(ConfigError, match=r"inference\.class_confidence: the model does not know scratch"):
        build(settings)
