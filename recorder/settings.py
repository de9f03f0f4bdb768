"""Settings of the recorder: the section `recorder` of the line's configuration."""

from datetime import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator
from sqlalchemy import URL

from pcb_bus.runtime.settings import LineSettings, Section, sixty_minutes_an_hour
from records.database import database_url
from records.times import find_system_zone, zone_is_known

Days = Annotated[float, Field(gt=0, le=100_000)]


class SpoolSettings(Section):
    """What waits on this machine's disk: messages for the database, pictures for their store."""

    path: Path = Path("var/recorder/spool.db")
    """File; its folder is made."""
    rows: Annotated[int, Field(ge=1)] = 1_000_000
    """Messages, at most; then the broker keeps the rest."""
    megabytes: Annotated[int, Field(ge=16)] = 2048
    """Size of their payloads, at most, MiB. Pictures take up to half of it."""


class RetentionSettings(Section):
    """How long things are kept."""

    days: Days = 90
    """Pictures older than this are removed; live: `retention_days`."""
    max_gb: Annotated[float, Field(gt=0)] = 20
    """Size of all pictures of this line, GB; over it the oldest go."""
    least_hours: Annotated[float, Field(ge=0, le=100_000)] = 24
    """No picture younger than this is removed, however full the disk is."""
    pictures_an_hour: Annotated[int, Field(ge=1, le=10_000_000)] = 5000
    """So many pictures go in an hour at most, or twice as many as came in the last hour, if that is more."""
    board_days: Days = 1825
    """Rows of boards: inspections with their sides and defects, triggers, reports, reviews, and rows of pictures."""
    log_days: Days = 365
    """Rows of `system_logs`, and alerts that are resolved."""
    rejected_days: Days = 30
    """Rows of `rejected_messages`."""
    audit_days: Days = 1825
    """Rows of `audit_log`."""


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
    again_after_s: Annotated[float, Field(ge=1, le=604_800)] = 3600
    """An alert that a person resolved is raised again after so long if its cause is still there."""


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
        return "none" if value is None else sixty_minutes_an_hour(value)

    @field_validator("reconcile_at")
    @classmethod
    def _is_local(cls, value: time | Literal["none"]) -> time | Literal["none"]:
        if value != "none" and value.tzinfo is not None:
            raise ValueError("a local time, without an offset")
        return value


class RecorderSettings(Section):
    """Where records go, and how many together."""

    database_url: Annotated[str, Field(repr=False)] = "sqlite:///var/recorder/boardline.db"
    """`sqlite:///file` or `mysql://user@host/database`."""
    database_password_file: Path | None = None
    """File with the database's password alone; read for each new connection, so that it can be changed at any time."""
    database_password: Annotated[str | None, Field(repr=False)] = None
    """The same for the environment: `PCB_RECORDER__DATABASE_PASSWORD`."""
    images: Annotated[
        str, BeforeValidator(lambda place: str(place) if isinstance(place, Path) else place), Field(repr=False)
    ] = "var/recorder/images"
    """Where the evidence pictures go: a folder, `file:///folder`, or any URL of fsspec, as `s3://bucket/prefix`."""
    image_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Options of its file system, as `endpoint_url`."""
    image_url: Annotated[str, Field(max_length=128)] = "/images"
    """What stands before a picture's name in `inspections.image_path`: the dashboard's address as other machines see
    it, as `http://192.168.0.10:8080/images`."""
    retention: RetentionSettings = RetentionSettings()
    batch_size: Annotated[int, Field(ge=1, le=5000)] = 500
    """Messages that are committed together, at most."""
    batch_ms: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Time that the first message of a batch waits for others, ms."""
    spool: SpoolSettings = SpoolSettings()
    time_zone: str = Field(default_factory=lambda: find_system_zone()[0])
    """The line's, as in `Asia/Seoul`; unset: this machine's. `inspection_time` and the statistics are in it."""
    verdict_deadline_ms: Annotated[int, Field(ge=100, le=3_600_000)] = 10_000
    """A board without a verdict for so long after its trigger was recorded is 미판정, and raises an alert."""
    alerts: AlertSettings = AlertSettings()
    oversight: OversightSettings = OversightSettings()

    _zone_is_known = field_validator("time_zone")(zone_is_known)

    @property
    def url(self) -> URL:
        """Of the database, with where its password is.

        Raises:
            ConfigError: it can never be used.
        """
        return database_url(self.database_url, self.database_password, self.database_password_file)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def zone_and_source(self) -> str:
        """The zone's name and who says so, for people: of a guess they must know."""
        source = "recorder.time_zone" if "time_zone" in self.model_fields_set else find_system_zone()[1]
        return f"{self.time_zone} ({source})"


class RecorderLine(LineSettings):
    """Writes every trigger, verdict, actuation report, evidence picture and event into the database.

    `python -m recorder migrate` brings the tables up to date and ends; the service itself does so at its start.
    `python -m recorder reconcile` names every board with a gap in its records, `python -m recorder config` shows and
    sets live values; `--help` after either tells more.
    """

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "recorder.database_url": "database_url"}
    secrets_go: ClassVar[dict[str, str]] = {
        **LineSettings.secrets_go,
        **dict.fromkeys(
            ("recorder.database_url", "recorder.database_password"),
            "a file that recorder.database_password_file names, or the variable PCB_RECORDER__DATABASE_PASSWORD",
        ),
    }

    recorder: RecorderSettings = Field(default_factory=RecorderSettings)

    @field_validator("root")
    @classmethod
    def _fits_the_column(cls, root: str) -> str:
        if len(root) > 64:
            raise ValueError("at most 64 characters: it stands in every row")
        return root
