from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from gpiozero.pins.mock import MockFactory
from support.gate_line import GateLine
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.identity import verdict_id as id_of
from pcb_bus.contract.messages import Category, ModelRef, Trigger, Verdict
from pcb_bus.contract.times import NS_PER_MS, now_ns

MakeVerdict = Callable[..., Verdict]
WriteTaxonomy = Callable[[dict[str, Any]], Path]
TAXONOMY = Path(__file__).parents[2] / "config" / "pcb_defects.yaml"


@pytest.fixture(scope="session")
def make_verdict() -> MakeVerdict:
    """Builds a verdict judged at `at` (ns, by default now), 50 ms after its capture, good for `good_for_ms`.

    With a `trigger` it is the one on that board.
    """

    def make(
        verdict_id: str = "v1",
        category: Category = "scrap",
        at: int | None = None,
        good_for_ms: float = 2000,
        trigger: Trigger | None = None,
    ) -> Verdict:
        judged_at = now_ns() if at is None else at
        board_id = f"board-{verdict_id}" if trigger is None else trigger.board_id
        return Verdict(
            verdict_id=verdict_id if trigger is None else id_of("pcb", board_id, trigger.triggered_at),
            board_id=board_id,
            status="ok",
            final_defect_type="폐기",
            category=category,
            confidence=0.9,
            gpio_signal=None,
            sides={},
            captured_at=judged_at - 50 * NS_PER_MS,
            judged_at=judged_at,
            deadline_at=judged_at + round(good_for_ms * NS_PER_MS),
            latency_ms=50.0,
            model=ModelRef(name="starter", sha256="0" * 64),
        )

    return make


@pytest.fixture
def write_taxonomy(tmp_path: Path) -> WriteTaxonomy:
    """Writes the line's own taxonomy file, but with no other gates than these, by category."""

    def write(gates: dict[str, Any]) -> Path:
        content = yaml.safe_load(TAXONOMY.read_text(encoding="utf-8"))
        labels = {name: {"label": rule["label"]} for name, rule in content["categories"].items()}
        content["categories"] = {name: {**rule, **gates.get(name, {})} for name, rule in labels.items()}
        path = tmp_path / "defects.yaml"
        path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that lost their broker look for it sooner."""
    monkeypatch.setattr("pcb_bus.mqtt.session._BACKOFF_S", (0.02, 0.03))
    monkeypatch.setattr("pcb_bus.mqtt.session._BACKOFF_MAX_S", (0.3, 0.4))


@pytest.fixture
def line(
    broker: Broker,
    pins: MockFactory,
    tmp_path: Path,
    mqtt_probe: Callable[..., Probe],
    write_taxonomy: WriteTaxonomy,
    _quick: None,
) -> GateLine:
    return GateLine(broker, pins, tmp_path, mqtt_probe, write_taxonomy)
