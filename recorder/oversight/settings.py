"""Settings of the oversight: what raises an alert, and when the nightly reconciliation runs."""

from datetime import time
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pcb_bus.runtime.settings import Section


class AlertSettings(Section):
    """When a person is told."""

    defect_rate: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of the latest boards that were not normal, over which an alert is raised; live: `alert_defect_rate`."""
    defect_rate_boards: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Latest boards that count."""
    defect_rate_least_boards: Annotated[int, Field(ge=1, le=10_000)] = 50
    """With fewer boards than this the rate says nothing."""
    defect_rate_minutes: Annotated[float, Field(gt=0, le=10_000)] = 60
    """Boards older than this do not count."""
    offline_grace_s: Annotated[float, Field(ge=0, le=86_400)] = 30
    """A node that is offline for longer raises an alert."""
    silence_s: Annotated[float, Field(ge=1, le=86_400)] = 45
    """A node that was not heard for so long is offline; nodes say every 15 s how they are."""
    min_free_mb: Annotated[float, Field(ge=0)] = 1024
    """Less free space (MB) on a disk of the recorder raises an alert; it is over with a tenth more."""


class OversightSettings(Section):
    """What the recorder looks after besides recording."""

    gates: bool = True
    """Whether the line has an actuator; without one no reports of the gates are expected."""
    report_after_s: Annotated[float, Field(ge=1, le=3600)] = 10
    """A verdict without a report for so long is named to the actuator."""
    reconcile_at: time | Literal["none"] = time(3, 0)
    """Local time (`recorder.time_zone`) of the nightly reconciliation; none: it does not run."""

    @field_validator("reconcile_at", mode="before")
    @classmethod
    def _yaml_reads_base_60(cls, value: Any) -> Any:
        # To YAML 1.1 an unquoted 23:30 is the number 1410.
        if type(value) is int and 0 <= value < 24 * 60:
            return time(*divmod(value, 60))
        return "none" if value is None else value

    @field_validator("reconcile_at")
    @classmethod
    def _is_local(cls, value: time | Literal["none"]) -> time | Literal["none"]:
        if value != "none" and value.tzinfo is not None:
            raise ValueError("a local time, without an offset")
        return value
