"""When the nightly reconciliation runs. Pure."""

from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from recorder.reconcile.findings import Span

_UNDER_WAY = timedelta(minutes=1)
_SPAN = timedelta(hours=25)  # a day in autumn has as many


def next_run(now: datetime, at: time, zone: ZoneInfo) -> datetime:
    """The next moment (UTC) at which clocks in `zone` show `at`; where they jump over it, the moment of the jump."""
    today = now.astimezone(zone).date()
    runs = (datetime.combine(today + timedelta(days=days), at, zone).astimezone(UTC) for days in range(-1, 3))
    return next(run for run in runs if run > now)


def nightly_span(now: datetime) -> Span:
    """A day up to a minute ago."""
    return Span(now - _UNDER_WAY - _SPAN, now - _UNDER_WAY)


class Nightly:
    """Says when it is time.

    Args:
        at: local time in `zone`, or none.
    """

    def __init__(self, at: time | Literal["none"], zone: ZoneInfo, now: datetime) -> None:
        self._at = at
        self._zone = zone
        self._next = None if at == "none" else next_run(now, at, zone)

    def is_due(self, now: datetime) -> bool:
        """True once for each night."""
        if self._at == "none" or self._next is None or now < self._next:
            return False
        self._next = next_run(now, self._at, self._zone)
        return True
