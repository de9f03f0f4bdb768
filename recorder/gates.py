"""Closes the loop with the gates: names verdicts that are recorded, but have no report, to the actuator."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Engine, exists, select

from pcb_bus.contract.messages import Unreported, UnreportedVerdict
from pcb_bus.contract.times import NS_PER_S
from records.database import for_reading
from records.tables import Actuation, Inspection
from records.times import local_time

log = logging.getLogger(__name__)

_TRIES = 7  # over about twenty minutes, if the first wait is 10 s; then it is for the reconciliation to list
_NAMED_AT_ONCE = 100
_MOST = 5000
_LATELY, _DAY = timedelta(minutes=15), timedelta(hours=24)  # what is older was settled or lost before
_DAY_EVERY_NS = 600 * NS_PER_S


class Gates:
    """Looks for the line's verdicts of a quarter of an hour without a report, and now and then for those of a day.

    Each is named at growing intervals, and not for ever. The first wait begins when it is seen, whatever the wall clock
    says: one that was set forward must not make an actuator account for what is just on its way to the gates.

    Args:
        publish: names verdicts to the actuator, which answers with their reports.
        first_wait_s: a verdict may be without a report for so long.
    """

    def __init__(
        self, engine: Engine, line: str, zone: ZoneInfo, publish: Callable[[Unreported], object], first_wait_s: float
    ) -> None:
        self._engine, self._line, self._zone, self._publish = for_reading(engine), line, zone, publish
        self._first_wait_ns = round(first_wait_s * NS_PER_S)
        self._waiting: dict[str, tuple[int, int]] = {}  # when it is due, and how often it was named
        self._day_next_at = 0

    def look(self, wall: datetime, now: int) -> None:
        """One round, of a day at the first; call it while the actuator is online. `now` is monotonic ns.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        whole_day = now >= self._day_next_at
        missing = self._missing(local_time(wall - (_DAY if whole_day else _LATELY), self._zone))
        if whole_day:
            self._day_next_at = now + _DAY_EVERY_NS
            self._waiting = {each: wait for each, wait in self._waiting.items() if each in missing}
        for verdict_id in missing:
            self._waiting.setdefault(verdict_id, (now + self._first_wait_ns, 0))
        due = [each for each in missing if self._waiting[each][0] <= now][:_NAMED_AT_ONCE]
        verdicts = tuple(missing[each] for each in due if self._waiting[each][1] < _TRIES)
        for verdict_id in due:
            tries = self._waiting[verdict_id][1]
            self._waiting[verdict_id] = now + (self._first_wait_ns << tries), tries + 1
        if verdicts:
            log.info("%d verdicts have no report: they are named to the actuator", len(verdicts))
            self._publish(Unreported(verdicts=verdicts))

    def _missing(self, since: datetime) -> dict[str, UnreportedVerdict]:
        """Newest first, without rows of another program that have no id or category to the contract."""
        without = (
            select(Inspection.verdict_id, Inspection.board_id, Inspection.category)
            .where(Inspection.line == self._line, Inspection.inspection_time >= since)
            .where(Inspection.judged_at.is_not(None), ~reported())
            .order_by(Inspection.inspection_time.desc())
            .limit(_MOST)
        )
        missing: dict[str, UnreportedVerdict] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(without):
                with suppress(ValidationError):
                    missing[row.verdict_id] = UnreportedVerdict(**row._asdict())
        return missing


def reported() -> ColumnElement[bool]:
    """Whether an inspection has a report of its own at the gates; that it came again is none."""
    return exists().where(
        Actuation.line == Inspection.line,
        Actuation.verdict_id == Inspection.verdict_id,
        Actuation.outcome != "duplicate",
    )
