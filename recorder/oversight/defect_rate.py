"""The share of the latest boards that were not normal."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Engine, select

from recorder.database import for_reading
from recorder.oversight.settings import AlertSettings
from recorder.tables import Inspection

_SLACK = 0.8


@dataclass(frozen=True, slots=True)
class Rate:
    """`defective` of `boards` were not normal: defective or not judged."""

    boards: int
    defective: int

    @property
    def share(self) -> float:
        return self.defective / self.boards if self.boards else 0.0

    def level(self, threshold: float, least_boards: int) -> Literal["over", "fine"] | None:
        """None while there are too few boards to say, and between the threshold and a fifth below."""
        if self.boards < least_boards:
            return None
        if self.share > threshold:
            return "over"
        return "fine" if self.share <= threshold * _SLACK else None


def latest_rate(engine: Engine, settings: AlertSettings, now: datetime) -> Rate:
    """Over the latest boards; reads as many rows, by the index on their time.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    since = now - timedelta(minutes=settings.defect_rate_minutes)
    latest = (
        select(Inspection.category)
        .where(Inspection.inspection_time >= since)
        .order_by(Inspection.inspection_time.desc())
        .limit(settings.defect_rate_boards)
    )
    with for_reading(engine).connect() as connection:
        categories = list(connection.scalars(latest))
    return Rate(len(categories), sum(category != "normal" for category in categories))
