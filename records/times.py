"""Moments as the clock on the line's wall shows them. Pure, but for `find_system_zone`."""

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


def find_system_zone() -> tuple[str, str]:
    """The IANA name of this machine's time zone, and what says it. An `/etc/localtime` that is no link has no name."""
    file = Path("/etc/timezone")
    found = {
        "TZ": os.environ.get("TZ", "").lstrip(":"),
        "/etc/localtime": os.path.realpath("/etc/localtime").partition(_ZONES)[2],
        "/etc/timezone": file.read_text(encoding="utf-8").strip() if file.is_file() else "",
    }
    named = ((name, source) for source, name in found.items() if name and _exists(name))
    return next(named, ("UTC", "nothing on this machine names one: set recorder.time_zone"))


def zone_is_known(name: str) -> str:
    """Raises ValueError: this machine has no time zone of that name."""
    if not _exists(name):
        raise ValueError("not an IANA time zone such as Asia/Seoul")
    return name


def _exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
