"""The hours and days that statistics are kept by. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

HOUR, DAY = "hour", "day"


class Calendar:
    """Hours of UTC, and days of a time zone (an IANA name); every begin is an instant in UTC.

    Raises:
        zoneinfo.ZoneInfoNotFoundError, ValueError: there is no such zone.
    """

    def __init__(self, zone: str = "UTC") -> None:
        self._zone = ZoneInfo(zone)

    def hour(self, moment: datetime) -> datetime:
        """When the hour of `moment` began."""
        return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)

    def day(self, moment: datetime) -> datetime:
        """When the day of `moment` began: the last local midnight. A day with a clock change has 23 or 25 hours."""
        today = self._midnight(moment)
        # A clock set back from just after midnight shows the old date again, in a day that has begun.
        tomorrow = self._midnight(moment, days=1)
        return tomorrow if tomorrow <= moment else today

    def next_day(self, moment: datetime) -> datetime:
        """When the day after that of `moment` begins."""
        return self._midnight(self.day(moment), days=1)

    def periods(self, moment: datetime) -> Iterator[tuple[str, datetime]]:
        """What `moment` counts in: each period with its begin."""
        yield HOUR, self.hour(moment)
        yield DAY, self.day(moment)

    def _midnight(self, moment: datetime, days: int = 0) -> datetime:
        date = moment.astimezone(self._zone).date() + timedelta(days=days)
        return datetime.combine(date, time(), self._zone).astimezone(UTC)
