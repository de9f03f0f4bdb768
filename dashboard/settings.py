"""Settings of the dashboard: the section `dashboard`, and of the section `recorder` where the records are."""

import ipaddress
import math
from datetime import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, field_validator, model_validator
from sqlalchemy import URL

from pcb_bus.runtime.settings import LineSettings, Port, Section, sixty_minutes_an_hour
from records.database import database_url
from records.times import find_system_zone, zone_is_known

_LETTER_SHARE = 200  # of the viewing distance: what is read without effort
_TOUCH_MM = 20  # of a target for a finger in a glove
_MOST_LETTERS = 7  # of them below each other is the least that the live page needs
_MM_PER_INCH = 25.4


class Screen(Section):
    """A screen, and from how far it is read."""

    diagonal_inch: Annotated[float, Field(gt=3, le=200)] = 24
    """Of the picture, inches."""
    width: Annotated[int, Field(ge=600, le=10_000)] = 1920
    """Pixels of the page; where the system scales its windows, as many as are left."""
    height: Annotated[int, Field(ge=400, le=10_000)] = 1080
    distance_m: Annotated[float, Field(gt=0.2, le=50)] = 5
    """From the eye to the screen: letters are 1/200 of it high, or more."""

    @property
    def letter_px(self) -> int:
        """The least height of what is read from there."""
        return math.ceil(self.distance_m * 1000 / _LETTER_SHARE / self._pixel_mm)

    @property
    def touch_px(self) -> int:
        """The least side of what is touched."""
        return math.ceil(_TOUCH_MM / self._pixel_mm)

    @property
    def _pixel_mm(self) -> float:
        return self.diagonal_inch * _MM_PER_INCH / math.hypot(self.width, self.height)

    @model_validator(mode="after")
    def _letters_fit(self) -> Self:
        if self.letter_px * _MOST_LETTERS > self.height:
            high = f"letters for {self.distance_m:g} m are {self.letter_px} of its {self.height} pixels high"
            raise ValueError(f"{high}; take a larger screen, or read it from nearer")
        return self


class Shift(Section):
    """What one shift is to make. It ends when the next one begins."""

    begins: time
    """Local time (`recorder.time_zone`)."""
    target: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Boards; none: there is no target."""

    _base_60 = field_validator("begins", mode="before")(sixty_minutes_an_hour)

    @field_validator("begins")
    @classmethod
    def _is_local(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("a local time, without an offset")
        return value


class DoorSettings(Section):
    """REST, MJPEG and Socket.IO for programs of earlier generations, which know no TLS."""

    port: Port | None = 5000
    """None: they are not served."""
    address: str | None = None
    """IP address to listen on; none: this machine alone. On any other, tokens and pictures travel unencrypted, unless
    `tls` is true."""
    tls: bool = False
    """With the certificate of the pages."""
    origins: tuple[str, ...] = ()
    """Of web pages elsewhere that may use them from a browser, as `http://192.168.0.20:8000`; programs need none."""

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None:
            ipaddress.ip_address(address)
        return address


class DashboardSettings(Section):
    """Where the pages are served, and to whom."""

    address: str | None = None
    """IP address to listen on; none: every interface with TLS, this machine alone without."""
    port: Port = 8080
    tls: bool | None = None
    """None: with TLS where the certificate is there. False: without, for this machine alone."""
    certificate: Path | None = None
    """PEM of a certificate and its key; none: the broker's, of the line's authority, beside the credentials."""
    session_minutes: Annotated[int, Field(ge=1, le=100_000)] = 480
    """So long after the last click a login ends; wall screens have a kiosk link instead."""
    first_password: Annotated[str | None, Field(min_length=10, max_length=72, repr=False)] = None
    """Of the `admin` that the first start makes; none: one is made up, and printed once."""
    shifts: Annotated[tuple[Shift, ...], Field(min_length=1, max_length=24)] = (
        Shift(begins=time(8)),
        Shift(begins=time(20)),
    )
    screen: Screen = Screen()
    """The screen on the wall."""
    tablet: Screen = Screen(diagonal_inch=10.1, width=1280, height=800, distance_m=1)
    """Pages no wider than this one are shown for it."""
    doors: DoorSettings = DoorSettings()
    review_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Share of the normal boards that a person is to look at, to learn what escapes."""

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None:
            ipaddress.ip_address(address)
        return address

    @field_validator("shifts")
    @classmethod
    def _in_order(cls, shifts: tuple[Shift, ...]) -> tuple[Shift, ...]:
        ordered = tuple(sorted(shifts, key=lambda each: each.begins))
        if len({each.begins for each in ordered}) < len(ordered):
            raise ValueError("two shifts begin at the same time")
        return ordered

    @model_validator(mode="after")
    def _passwords_travel_encrypted(self) -> Self:
        if self.tls is False and self.address is not None and not ipaddress.ip_address(self.address).is_loopback:
            raise ValueError(
                f"without tls the pages are for this machine alone: address {self.address} is not; leave it out"
            )
        return self


class Records(Section):
    """Where the recorder writes; said once, in its section, whose other keys are its own."""

    model_config = ConfigDict(extra="ignore")

    database_url: Annotated[str, Field(repr=False)] = "sqlite:///var/recorder/boardline.db"
    database_password_file: Path | None = None
    database_password: Annotated[str | None, Field(repr=False)] = None
    images: str = "var/recorder/images"
    image_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    time_zone: str = Field(default_factory=lambda: find_system_zone()[0])

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


class DashboardLine(LineSettings):
    """Serves the operator's pages: what the line does now, and who may do what."""

    shortcuts: ClassVar[dict[str, str]] = {**LineSettings.shortcuts, "recorder.database_url": "database_url"}
    secrets_go: ClassVar[dict[str, str]] = {
        **LineSettings.secrets_go,
        **dict.fromkeys(
            ("recorder.database_url", "recorder.database_password"),
            "a file that recorder.database_password_file names, or the variable PCB_RECORDER__DATABASE_PASSWORD",
        ),
        "dashboard.first_password": "the variable PCB_DASHBOARD__FIRST_PASSWORD",
    }

    dashboard: DashboardSettings = DashboardSettings()
    recorder: Records = Field(default_factory=Records)

    @property
    def certificate(self) -> Path | None:
        """With which the pages are served; None: without TLS."""
        chosen = self.dashboard
        if chosen.tls is False:
            return None
        of_the_line = self.broker.credentials.parent / "certificates" / "server.pem"
        return chosen.certificate or (of_the_line if chosen.tls or of_the_line.exists() else None)
