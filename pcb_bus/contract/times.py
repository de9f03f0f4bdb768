"""Times on the wire: integer nanoseconds since the epoch (UTC) inside and in MessagePack, RFC 3339 in JSON."""

import re
import time
from datetime import UTC, datetime, timedelta

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9]):([0-5][0-9]|60)(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))"
)


def now_ns() -> int:
    """Wall clock, ns since the epoch."""
    return time.time_ns()


_BEGAN = time.time_ns() - time.monotonic_ns()


def steady_ns() -> int:
    """The wall clock as it stood when this process began, going on evenly: whoever sets the clock does not move it."""
    return steady_of(time.monotonic_ns())


def steady_of(monotonic: int) -> int:
    """What `steady_ns` said when `time.monotonic_ns` said this."""
    return monotonic + _BEGAN


def ms_to_ns(ms: float) -> int:
    return round(ms * NS_PER_MS)


def ns_to_ms(ns: int) -> float:
    return ns / NS_PER_MS


def to_rfc3339(ns: int) -> str:
    """UTC with milliseconds, rounded down: `2026-11-21T08:00:00.123Z`."""
    seconds, rest = divmod(ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest // NS_PER_MS:03d}Z"


def from_rfc3339(text: str) -> int:
    """Nanoseconds since the epoch.

    Raises:
        ValueError: not an RFC 3339 time, or one without a UTC offset.
    """
    parts = _RFC3339.fullmatch(text)
    if parts is None:
        raise ValueError("not an RFC 3339 time with its UTC offset, such as 2026-11-21T08:00:00.123Z")
    day, minute, second, fraction, offset = parts.groups("")
    # A leap second counts as the one after it: to a clock of POSIX they are one.
    moment = from_datetime(datetime.fromisoformat(f"{day}T{minute}:00{offset or '+00:00'}"))
    return moment + int(second) * NS_PER_S + int(fraction[:9].ljust(9, "0"))


def to_datetime(ns: int) -> datetime:
    """Timezone-aware UTC datetime, rounded down to microseconds."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def from_datetime(moment: datetime) -> int:
    """Nanoseconds since the epoch of a timezone-aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
