"""Settings of the recorder: the section `recorder` of the line's configuration."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from pcb_bus.settings import LineSettings, Section


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
    images: Path = Path("var/recorder/images")
    """Folder of the evidence pictures."""
    batch_size: Annotated[int, Field(ge=1, le=5000)] = 500
    """Messages that are committed together, at most."""
    batch_ms: Annotated[int, Field(ge=0, le=10_000)] = 50
    """Time that the first message of a batch waits for others, ms."""
    spool: SpoolSettings = SpoolSettings()


class RecorderLine(LineSettings):
    """Writes every verdict, actuation report, evidence picture and event into the database.

    `python -m recorder migrate` brings the tables up to date and ends; the service itself does so at its start.
    """

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "recorder.database_url": "database_url"}

    recorder: RecorderSettings = RecorderSettings()
