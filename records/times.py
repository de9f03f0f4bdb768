"""Moments as the clock on the line's wall shows them. Pure, but for `system_zone`."""

import os
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

_ZONES = "zoneinfo/"


def local_time(moment: datetime, zone: ZoneInfo) -> datetime:
    """What clocks in `zone` show, without a zone, cut to milliseconds; `moment` has one."""
    local = moment.astimezone(zone)
    return local.replace(tzinfo=None, fold=0, microsecond=local.microsecond // 1000 * 1000)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The day that calendars in `zone` show."""
    return moment.astimezone(zone).date()


def hour_of(local: datetime) -> datetime:
    """When the hour of a wall time began. An hour that comes twice in autumn is one hour of 120 minutes."""
    return local.replace(minute=0, second=0, microsecond=0)


def system_zone() -> str:
    """The IANA name of this machine's time zone; UTC where nothing says it."""
    named = os.environ.get("TZ", "").lstrip(":")
    link = os.path.realpath("/etc/localtime")
    file = Path("/etc/timezone")
    for name in (named, link.partition(_ZONES)[2], file.read_text(encoding="utf-8").strip() if file.is_file() else ""):
        if name and _exists(name):
            return name
    return "UTC"


def _exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
