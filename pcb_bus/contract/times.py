"""Times on the wire: integer nanoseconds since the epoch (UTC) inside and in MessagePack, RFC 3339 in JSON."""

import time
from datetime import UTC, datetime, timedelta

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_ns() -> int:
    """Wall clock, ns since the epoch."""
    return time.time_ns()


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
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs its UTC offset, for example a trailing Z")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def to_datetime(ns: int) -> datetime:
    """Timezone-aware UTC datetime, rounded down to microseconds."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


def from_datetime(moment: datetime) -> int:
    """Nanoseconds since the epoch of a timezone-aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
