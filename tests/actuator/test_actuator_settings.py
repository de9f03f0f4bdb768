from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from actuator.decide import GatePlan, Rules
from actuator.pulses import SafeState
from actuator.service import rules_of
from actuator.settings import ActuatorLineSettings
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import load_settings

CONFIG = Path(__file__).parents[2] / "config"
WriteTaxonomy = Callable[[dict[str, Any]], Path]


def load(
    tmp_path: Path, actuator: dict[str, Any], taxonomy: Path = CONFIG / "pcb_defects.yaml"
) -> ActuatorLineSettings:
    path = tmp_path / "line.yaml"
    path.write_text(yaml.safe_dump({"actuator": actuator, "taxonomy": str(taxonomy)}), encoding="utf-8")
    return load_settings(ActuatorLineSettings, ["--config", str(path)])


def safe_state(settings: ActuatorLineSettings) -> SafeState:
    return settings.actuator.safe(rules_of(settings))


def test_pins_and_durations_are_the_taxonomys(tmp_path: Path) -> None:
    assert dict(rules_of(load(tmp_path, {})).gates) == {
        "scrap": GatePlan(22, 500 * NS_PER_MS),
        "solder": GatePlan(27, 500 * NS_PER_MS),
        "component": GatePlan(17, 500 * NS_PER_MS),
        "normal": GatePlan(23, 300 * NS_PER_MS),
    }


def test_a_gate_downstream_and_one_of_a_group(tmp_path: Path, write_taxonomy: WriteTaxonomy) -> None:
    taxonomy = write_taxonomy(
        {
            "scrap": {"pin": 5, "duration_ms": 200, "gate_delay_ms": 1200},
            "solder": {"pin": 6, "duration_ms": 100, "exclusive": "arm"},
        }
    )
    rules: Rules = rules_of(load(tmp_path, {}, taxonomy))
    assert dict(rules.gates) == {
        "scrap": GatePlan(5, 200 * NS_PER_MS, 1200 * NS_PER_MS),
        "solder": GatePlan(6, 100 * NS_PER_MS, None, "arm"),
    }
    assert rules.groups == {6: "arm"}


def test_the_lines_own_file_is_valid() -> None:
    settings = load_settings(ActuatorLineSettings, ["--config", str(CONFIG / "line.yaml"), "--ledger", "other.db"])
    assert settings.actuator.ledger == Path("other.db")
    assert settings.actuator.armed


@pytest.mark.parametrize(
    ("actuator", "key"),
    [
        ({"gates": {"scrap": {"pin": 22, "duration_ms": 1}}}, "actuator.gates: unknown key"),
        ({"gate": {}}, "actuator.gate: unknown key"),
        ({"max_lag_ms": -1}, "actuator.max_lag_ms"),
        ({"max_lag_ms": 1e300}, "actuator.max_lag_ms"),
        ({"max_future_ms": float("nan")}, "actuator.max_future_ms"),
        ({"clock_tolerance_ms": 1e300}, "actuator.clock_tolerance_ms"),
        ({"armed": "perhaps"}, "actuator.armed"),
        ({"max_waiting": 0}, "actuator.max_waiting"),
        ({"outbox_rows": 0}, "actuator.outbox_rows"),
        ({"interlock": {"pin": 28}}, "actuator.interlock.pin"),
        ({"interlock": {"pin": 5, "closed": "high"}}, "actuator.interlock: .*torn wire"),
        ({"interlock": {"pin": 5, "pull": "down"}}, "actuator.interlock: .*torn wire"),
        ({"safe_state": {"mode": "divert"}}, "actuator.safe_state: .*needs a category"),
        ({"safe_state": {"mode": "stop", "category": "scrap"}}, "actuator.safe_state: .*category"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, actuator: dict[str, Any], key: str) -> None:
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
        safe_state(load(tmp_path, actuator))


def test_the_safe_states(tmp_path: Path) -> None:
    found = [
        safe_state(load(tmp_path, {"safe_state": wanted}))
        for wanted in ({}, {"mode": "stop"}, {"mode": "divert", "category": "scrap"})
    ]
    assert found == [SafeState(), SafeState(paused=True), SafeState(held=22)]
