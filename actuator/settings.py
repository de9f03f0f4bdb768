"""What can be configured about the gates, beside their pins and durations: those are in the taxonomy file."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from actuator.decide import GatePlan, Rules
from actuator.pulses import SafeState
from actuator.safety import Level, Pull
from pcb_bus.contract.messages import Category, Pin
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.contract.times import NS_PER_MS, ms_to_ns
from pcb_bus.durable.outbox import Bounds
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import LineSettings, Section

NODE = "actuator"


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
    """What the gates do while the broker or inference is away, or this station's disk hangs."""

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

    active_low: bool = False
    """The relay board pulls when its pin is low."""
    armed: bool = True
    """Whether gates may fire after a start; a `disarm` command outlives a restart all the same."""
    ledger: Path = Path("var/actuator/ledger.db")
    """What is about to fire, so that a crash never fires twice; `--ledger FILE`."""
    outbox: Path = Path("var/actuator/outbox.db")
    """Reports that the recorder has not named yet; they go out again until it does."""
    outbox_rows: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    """So many reports at most; half of them waiting raises an alert."""
    max_future_ms: Annotated[float, Field(gt=0, le=600_000)] = 60_000
    """A deadline further than this after the judgement is refused as nonsense."""
    clock_tolerance_ms: Annotated[float, Field(ge=0, le=600_000)] = 500
    """How far the clocks of two nodes may differ."""
    max_lag_ms: Annotated[float, Field(ge=0, le=60_000)] = 20
    """How late a pulse may begin at a gate downstream, and a trigger may be beside others of its sender."""
    max_waiting: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Pulses under way at once; verdicts beyond are rejected."""
    interlock: InterlockSettings | None = None
    """A door contact or emergency stop; none: there is none."""
    safe_state: SafeStateSettings = SafeStateSettings()

    @property
    def bounds(self) -> Bounds:
        return Bounds(rows=self.outbox_rows)

    def rules(self, taxonomy: Taxonomy) -> Rules:
        """How this station decides.

        Raises:
            ConfigError: the interlock's pin is that of a gate.
        """
        gates: dict[str, GatePlan] = {
            category: GatePlan(
                rule.pin,
                rule.duration_ms * NS_PER_MS,
                None if rule.gate_delay_ms is None else ms_to_ns(rule.gate_delay_ms),
                rule.exclusive,
            )
            for category, rule in taxonomy.categories.items()
            if rule.pin is not None and rule.duration_ms is not None
        }
        if self.interlock is not None and self.interlock.pin in {plan.pin for plan in gates.values()}:
            raise ConfigError(f"actuator.interlock.pin: {self.interlock.pin} is the pin of a gate")
        return Rules(
            gates,
            max_future_ns=ms_to_ns(self.max_future_ms),
            clock_tolerance_ns=ms_to_ns(self.clock_tolerance_ms),
            max_lag_ns=ms_to_ns(self.max_lag_ms),
            max_waiting=self.max_waiting,
        )

    def safe(self, rules: Rules) -> SafeState:
        """What the gates do while the line is away.

        Raises:
            ConfigError: the category has no gate.
        """
        category = self.safe_state.category
        if category is not None and category not in rules.gates:
            raise ConfigError(f"actuator.safe_state.category: no gate for {category}")
        return SafeState(self.safe_state.mode == "stop", None if category is None else rules.gates[category].pin)


class ActuatorLineSettings(LineSettings):
    """Boardline actuator: pcb/verdict in, gate pulses and pcb/actuation out."""

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "actuator.ledger": "ledger"}

    actuator: ActuatorSettings = ActuatorSettings()
