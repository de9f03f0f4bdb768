"""What can be configured about the gates."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from actuator.decision import GatePlan, Rules
from actuator.ledger import Memory
from pcb_bus.clock import NS_PER_MS, ms_to_ns
from pcb_bus.messages import Category
from pcb_bus.settings import LineSettings, Section
from pcb_bus.taxonomy import Taxonomy

NODE = "actuator"


class GateSettings(Section):
    """The gate of one category."""

    pin: Annotated[int, Field(ge=0, le=27)]
    """BCM number of the relay's pin."""
    duration_ms: Annotated[int, Field(gt=0, le=60_000)]
    """How long the pin is high."""
    gate_delay_ms: Annotated[float, Field(ge=0, le=600_000)] | None = None
    """For a gate downstream: fire this long after the frame was captured; none: at once."""

    @property
    def plan(self) -> GatePlan:
        delay = None if self.gate_delay_ms is None else ms_to_ns(self.gate_delay_ms)
        return GatePlan(self.pin, self.duration_ms * NS_PER_MS, delay)


class ActuatorSettings(Section):
    """The gates of one station."""

    gates: dict[Category, GateSettings] | None = None
    """The gate of each category; none: pins and durations of the taxonomy file."""
    active_low: bool = False
    """The relay board pulls when its pin is low."""
    armed: bool = True
    """Whether gates may fire after a start; a `disarm` command outlives a restart all the same."""
    ledger: Path = Path("var/actuator/ledger.db")
    """What was decided, so that a crash never fires twice; reports, until the recorder names them; `--ledger FILE`."""
    memory_days: Annotated[int, Field(ge=1, le=365)] = 7
    """How long decided verdicts are remembered."""
    memory_rows: Annotated[int, Field(ge=1000, le=10_000_000)] = 100_000
    """How many at most; and how many reports may wait until the recorder names them."""
    max_future_ms: Annotated[float, Field(gt=0)] = 60_000
    """A deadline further than this after the judgement is refused as nonsense."""
    clock_tolerance_ms: Annotated[float, Field(ge=0)] = 500
    """How far the clocks of two nodes may differ."""
    max_lag_ms: Annotated[float, Field(ge=0)] = 20
    """How late a pulse may begin at a gate downstream."""

    @field_validator("gates")
    @classmethod
    def _never_on_doubt(cls, gates: dict[Category, GateSettings] | None) -> dict[Category, GateSettings] | None:
        if gates is not None and "unjudged" in gates:
            raise ValueError("no gate fires for a board that could not be inspected (unjudged)")
        return gates

    @property
    def memory(self) -> Memory:
        return Memory(self.memory_days * 86_400, self.memory_rows)

    def rules(self, taxonomy: Taxonomy) -> Rules:
        return Rules(
            self._plans(taxonomy),
            max_future_ns=ms_to_ns(self.max_future_ms),
            clock_tolerance_ns=ms_to_ns(self.clock_tolerance_ms),
            max_lag_ns=ms_to_ns(self.max_lag_ms),
        )

    def _plans(self, taxonomy: Taxonomy) -> dict[str, GatePlan]:
        if self.gates is not None:
            return {category: gate.plan for category, gate in self.gates.items()}
        rules = taxonomy.categories.items()
        return {
            category: GatePlan(rule.pin, rule.duration_ms * NS_PER_MS)
            for category, rule in rules
            if rule.pin is not None and rule.duration_ms is not None
        }


class ActuatorLineSettings(LineSettings):
    """Boardline actuator: pcb/verdict in, gate pulses and pcb/actuation out."""

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "actuator.ledger": "ledger"}

    actuator: ActuatorSettings = ActuatorSettings()
