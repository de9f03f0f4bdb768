from pathlib import Path
from typing import Any

import pytest
import yaml

from actuator.decision import GatePlan
from actuator.settings import ActuatorLineSettings
from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import load_settings

CONFIG = Path(__file__).parents[2] / "config"


def load(tmp_path: Path, actuator: dict[str, Any], *arguments: str) -> ActuatorLineSettings:
    path = tmp_path / "line.yaml"
    path.write_text(yaml.safe_dump({"actuator": actuator}), encoding="utf-8")
    return load_settings(ActuatorLineSettings, ["--config", str(path), *arguments])


def gates(settings: ActuatorLineSettings) -> dict[str, GatePlan]:
    return dict(settings.actuator.rules(load_taxonomy(CONFIG / "pcb_defects.yaml")).gates)


def test_gates_are_the_taxonomys_by_default(tmp_path: Path) -> None:
    assert gates(load(tmp_path, {})) == {
        "scrap": GatePlan(22, 500 * NS_PER_MS),
        "solder": GatePlan(27, 500 * NS_PER_MS),
        "component": GatePlan(17, 500 * NS_PER_MS),
        "normal": GatePlan(23, 300 * NS_PER_MS),
    }


def test_own_gates_are_all_there_is(tmp_path: Path) -> None:
    own = {"scrap": {"pin": 5, "duration_ms": 200, "gate_delay_ms": 1200}}
    assert gates(load(tmp_path, {"gates": own})) == {"scrap": GatePlan(5, 200 * NS_PER_MS, 1200 * NS_PER_MS)}


def test_the_lines_own_file_is_valid() -> None:
    settings = load_settings(ActuatorLineSettings, ["--config", str(CONFIG / "line.yaml"), "--ledger", "other.db"])
    assert settings.actuator.ledger == Path("other.db")
    assert settings.actuator.armed


@pytest.mark.parametrize(
    ("actuator", "key"),
    [
        ({"gates": {"scrap": {"pin": 28, "duration_ms": 1}}}, "actuator.gates.scrap.pin"),
        ({"gates": {"scrap": {"pin": 22}}}, "actuator.gates.scrap.duration_ms"),
        ({"gates": {"scrap": {"pin": 22, "duration_ms": 0}}}, "actuator.gates.scrap.duration_ms"),
        ({"gates": {"golden": {"pin": 22, "duration_ms": 1}}}, "actuator.gates.golden"),
        ({"gates": {"unjudged": {"pin": 22, "duration_ms": 1}}}, "actuator.gates: .*unjudged"),
        ({"gate": {}}, "actuator.gate: unknown key"),
        ({"max_lag_ms": -1}, "actuator.max_lag_ms"),
        ({"max_future_ms": float("nan")}, "actuator.max_future_ms"),
        ({"armed": "perhaps"}, "actuator.armed"),
        ({"max_waiting": 0}, "actuator.max_waiting"),
        ({"interlock": {"pin": 28}}, "actuator.interlock.pin"),
        ({"interlock": {"pin": 5, "closed": "high"}}, "actuator.interlock: .*torn wire"),
        ({"interlock": {"pin": 5, "pull": "down"}}, "actuator.interlock: .*torn wire"),
        ({"safe_state": {"mode": "divert"}}, "actuator.safe_state: .*needs a category"),
        ({"safe_state": {"mode": "stop", "category": "scrap"}}, "actuator.safe_state: .*category"),
        (
            {
                "gates": {
                    "scrap": {"pin": 22, "duration_ms": 1, "exclusive": "a"},
                    "solder": {"pin": 22, "duration_ms": 1},
                }
            },
            "actuator.gates: .*pin 22 is exclusive in two ways",
        ),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, actuator: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load(tmp_path, actuator)


@pytest.mark.parametrize(
    ("actuator", "complaint"),
    [
        ({"safe_state": {"mode": "divert", "category": "unjudged"}}, "safe_state.category: no gate for unjudged"),
        ({"interlock": {"pin": 22}}, "interlock.pin: 22 is the pin of a gate"),
    ],
)
def test_what_does_not_fit_the_gates_is_named(tmp_path: Path, actuator: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        gates(load(tmp_path, actuator))
