"""Settings of the recorder: the section `recorder` of the line's configuration."""

from pathlib import Path
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator

from pcb_bus.runtime.settings import LineSettings, Section
from recorder.oversight.settings import AlertSettings, OversightSettings
from recorder.retention import RetentionSettings


class SpoolSettings(Section):
    """What waits on this machine's disk while the database is down."""

    path: Path = Path("var/recorder/spool.db")
    """File; its folder is made."""
    rows: Annotated[int, Field(ge=1)] = 1_000_000
    """Messages, at most; then the broker keeps the rest."""
    megabytes: Annotated[int, Field(ge=1)] = 2048
    """Size of their payloads, at most, MiB."""


class RecorderSettings(Section):
    """Where records go, and how many together."""

    database_url: Annotated[str, Field(repr=False)] = "sqlite:///var/recorder/boardline.db"
    """`sqlite:///file` or `mysql://user:password@host/database`; `--database_url` for short."""
    images: Annotated[
        str, BeforeValidator(lambda place: str(place) if isinstance(place, Path) else place), Field(repr=False)
    ] = "var/recorder/images"
    """Where the evidence pictures go: a folder, `file:///folder`, or any URL of fsspec, as `s3://bucket/prefix`."""
    image_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Options of its file system, as `endpoint_url`."""
    retention: RetentionSettings = RetentionSettings()
    batch_size: Annotated[int, Field(ge=1, le=5000)] = 500
    """Messages that are committed together, at most."""
    batch_ms: Annotated[int, Field(ge=0, le=10_000)] = 50
    """Time that the first message of a batch waits for others, ms."""
    spool: SpoolSettings = SpoolSettings()
    time_zone: str = "UTC"
    """The line's, as in `Asia/Seoul`: its days are those of the statistics, its nights those of the reconciliation."""
    verdict_deadline_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 10_000
    """A board without a verdict for so long after its trigger was recorded is 미판정, and raises an alert."""
    alerts: AlertSettings = AlertSettings()
    oversight: OversightSettings = OversightSettings()

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("not an IANA time zone such as Asia/Seoul") from None
        return name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


class RecorderLine(LineSettings):
    """Writes every trigger, verdict, actuation report, evidence picture and event into the database.

    `python -m recorder migrate` brings the tables up to date and ends; the service itself does so at its start.
    `python -m recorder reconcile` names every board with a gap in its records, `python -m recorder config` shows and
    sets live values; `--help` after either tells more.
    """

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "recorder.database_url": "database_url"}

    recorder: RecorderSettings = RecorderSettings()
