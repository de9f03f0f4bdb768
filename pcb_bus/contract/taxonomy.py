"""The defect taxonomy of `config/pcb_defects.yaml`: classes, categories, and what each category does at the gates."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pcb_bus.contract.codec import first_error, read_yaml
from pcb_bus.contract.messages import Category, Label, Name, Pin, PulseMs
from pcb_bus.errors import ConfigError

UNKNOWN_ANOMALY = "unknown_anomaly"
Severity = Literal["component", "solder", "scrap", "minor"]


class CategoryRule(BaseModel):
    """What a person reads of a category, and the gate (BCM pin, ms) that it opens, if any.

    Args:
        gate_delay_ms: for a gate downstream: how long after the board stood before the cameras it fires; None: at once.
        exclusive: gates with the same word are never high together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Annotated[Label, Field(max_length=64)]
    pin: Pin | None = None
    duration_ms: PulseMs | None = None
    gate_delay_ms: Annotated[float, Field(ge=0, le=600_000)] | None = None
    exclusive: Name | None = None

    @model_validator(mode="after")
    def _of_a_gate(self) -> "CategoryRule":
        if (self.pin is None) != (self.duration_ms is None):
            raise ValueError("pin and duration_ms go together")
        if self.pin is None and (self.gate_delay_ms, self.exclusive) != (None, None):
            raise ValueError("gate_delay_ms and exclusive are of a gate: they need a pin")
        return self


class CopperNames(BaseModel):
    """Classes by topology: of changed copper that touches no piece of the other material, one, and several."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    added: tuple[Name, Name, Name]
    removed: tuple[Name, Name, Name]


class Taxonomy(BaseModel):
    """Classes by name to their severity, and the categories, worst first.

    `copper` names what differs between a bare board and its golden board; none: bare boards are not compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Annotated[dict[Name, Severity], Field(min_length=1)]
    unknown_anomaly: Severity = "component"
    copper: CopperNames | None = None
    categories: dict[Category, CategoryRule]

    @model_validator(mode="after")
    def _complete(self) -> "Taxonomy":
        if UNKNOWN_ANOMALY in self.classes:
            raise ValueError(f"classes: {UNKNOWN_ANOMALY} is no class of a detector; it has a key of its own")
        named = {*self.copper.added, *self.copper.removed} if self.copper else set()
        if stray := named - self.classes.keys():
            raise ValueError(f"copper: {', '.join(sorted(stray))}: not among the classes")
        missing = set(get_args(Category)) - self.categories.keys()
        if missing:
            raise ValueError(f"categories: missing {', '.join(sorted(missing))}")
        if self.categories["unjudged"].pin is not None:
            raise ValueError("categories.unjudged: no gate fires for a board that could not be inspected")
        groups: dict[int, str | None] = {}
        for rule in self.categories.values():
            if rule.pin is not None and groups.setdefault(rule.pin, rule.exclusive) != rule.exclusive:
                raise ValueError(f"categories: pin {rule.pin} is exclusive in two ways")
        return self

    def category_of(self, class_name: str) -> Category:
        """The category that one defect of this class gives a board; minor ones leave it normal.

        Raises:
            KeyError: the taxonomy does not know the class.
        """
        severity = self.unknown_anomaly if class_name == UNKNOWN_ANOMALY else self.classes[class_name]
        return "normal" if severity == "minor" else severity

    @property
    def minor(self) -> frozenset[str]:
        """The classes that leave a board normal."""
        return frozenset(name for name, severity in self.classes.items() if severity == "minor")

    def worst(self, categories: Iterable[Category]) -> Category:
        """The worst of `categories` in the order of the file; normal only when there is no other."""
        found = set(categories) - {"unjudged", "normal"}
        return next((category for category in self.categories if category in found), "normal")

    def label(self, category: Category) -> str:
        return self.categories[category].label

    def unknown_classes(self, class_names: Iterable[str]) -> tuple[str, ...]:
        """Those that the taxonomy does not know, sorted."""
        return tuple(sorted(set(class_names) - self.classes.keys()))


def load_taxonomy(path: Path) -> Taxonomy:
    """Read and check the taxonomy file.

    Raises:
        ConfigError: missing, not YAML, or not a taxonomy; names the key.
    """
    try:
        return Taxonomy.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError(f"{path}: {first_error(error)}") from None
