"""Whether the statistics are what the rows say."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from sqlalchemy import Engine

from recorder.periods import Calendar
from recorder.reconcile.findings import Gap, Span
from recorder.recount import Difference, recount
from recorder.statistics import Boards, Defects


@dataclass(frozen=True, slots=True)
class StatisticsCheck:
    """Counts the days of a span anew, those of `calendar`."""

    calendar: Calendar

    def __call__(self, engine: Engine, span: Span) -> Iterator[Gap]:
        """Raises SQLAlchemyError: the database does not answer."""
        # In one transaction, for the rows and their statistics are written in one.
        with engine.connect() as connection:
            differences = recount(connection, self.calendar, span.since, span.until)
        return (Gap("statistics differ", each.begins_at, detail=_described(each)) for each in differences)


def _described(difference: Difference) -> str:
    stored, counted = _numbers(difference.stored), _numbers(difference.counted)
    differing = [
        f"{name} {stored[name]:g}, counted {counted[name]:g}" for name in stored if stored[name] != counted[name]
    ]
    return f"{difference.period} {' '.join(difference.of)}: {'; '.join(differing)}"


def _numbers(counts: Boards | Defects) -> dict[str, float]:
    return asdict(counts)
