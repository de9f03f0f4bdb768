"""What can be configured about the gates."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from actuator.decision import GatePlan, Rules
from actuator.interlock import Level, Pull
from actuator.ledger import Memory
from pcb_bus.contract.messages import Category, Name
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.contract.times import NS_PER_MS, ms_to_ns
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import LineSettings, Section

NODE = "actuator"
Pin = Annotated[int, Field(ge=0, le=27)]


class GateSettings(Section):
    """The gate of one category."""

    pin: Pin
    """BCM number of the relay's pin."""
    duration_ms: Annotated[int, Field(gt=0, le=60_000)]
    """How long the pin is high."""
    gate_delay_ms: Annotated[float, Field(ge=0, le=600_000)] | None = None
    """For a gate downstream: fire this long after the frame was captured; none: at once."""
    exclusive: Name | None = None
    """Gates with the same word here are never high together: what is due meanwhile waits, or is reported late."""

    @property
    def plan(self) -> GatePlan:
        delay = None if self.gate_delay_ms is None else ms_to_ns(self.gate_delay_ms)
        return GatePlan(self.pin, self.duration_ms * NS_PER_MS, delay, self.exclusive)


class InterlockSettings(Section):
    """A contact that has to be closed for gates to fire. When it opens, every gate goes off and is disarmed."""

    pin: Pin
    """BCM number of the contact's pin."""
    pull: Pull = "up"
    """The Pi's own resistor; none if there is one on the board."""
    closed: Level = "low"
    """Level of the pin while the contact is closed: a contact between pin and ground, with pull up, is low."""
    debounce_ms: Annotated[float, Field(ge=0, le=10_000)] = 50
    """It counts as closed once it has been for so long; as open at once."""

    @model_validator(mode="after")
    def _torn_wire_is_open(self) -> Self:
        if (self.pull, self.closed) in (("up", "high"), ("down", "low")):
            raise ValueError(f"with pull {self.pull} a torn wire would look closed")
        return self


class SafeStateSettings(Section):
    """What the gates do while the broker or inference is away."""

    mode: Literal["finish", "stop", "divert"] = "finish"
    """finish: what was decided runs to its end; stop: every gate off; divert: one gate on until they are back."""
    category: Category | None = None
    """For divert: whose gate."""
    after_ms: Annotated[float, Field(ge=0, le=600_000)] = 2000
    """They may be away for so long."""

    @model_validator(mode="after")
    def _divert_needs_a_gate(self) -> Self:
        if (self.mode == "divert") != (self.category is not None):
            raise ValueError("divert needs a category, the other modes have none")
        return self


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
    max_waiting: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Pulses under way at once; verdicts beyond are rejected."""
    interlock: InterlockSettings | None = None
    """A door contact or emergency stop; none: there is none."""
    safe_state: SafeStateSettings = SafeStateSettings()

    @field_validator("gates")
    @classmethod
    def _never_on_doubt(cls, gates: dict[Category, GateSettings] | None) -> dict[Category, GateSettings] | None:
        if gates is not None and "unjudged" in gates:
            raise ValueError("no gate fires for a board that could not be inspected (unjudged)")
        return gates

    @field_validator("gates")
    @classmethod
    def _one_group_a_pin(cls, gates: dict[Category, GateSettings] | None) -> dict[Category, GateSettings] | None:
        groups: dict[int, str | None] = {}
        for gate in (gates or {}).values():
            if groups.setdefault(gate.pin, gate.exclusive) != gate.exclusive:
                raise ValueError(f"pin {gate.pin} is exclusive in two ways")
        return gates

    @property
    def memory(self) -> Memory:
        return Memory(self.memory_days * 86_400, self.memory_rows)

    def rules(self, taxonomy: Taxonomy) -> Rules:
        """How this station decides.

        Raises:
            ConfigError: the safe state or the interlock does not fit the gates.
        """
        plans = self._plans(taxonomy)
        self._check(plans)
        return Rules(
            plans,
            max_future_ns=ms_to_ns(self.max_future_ms),
            clock_tolerance_ns=ms_to_ns(self.clock_tolerance_ms),
            max_lag_ns=ms_to_ns(self.max_lag_ms),
            max_waiting=self.max_waiting,
        )

    def _check(self, plans: dict[str, GatePlan]) -> None:
        category = self.safe_state.category
        if category is not None and category not in plans:
            raise ConfigError(f"actuator.safe_state.category: no gate for {category}")
        if self.interlock is not None and self.interlock.pin in {plan.pin for plan in plans.values()}:
            raise ConfigError(f"actuator.interlock.pin: {self.interlock.pin} is the pin of a gate")

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
