"""Closes the loop with the gates: names verdicts that are recorded, but have no report, to the actuator."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, Engine, Select, exists, func, select

from pcb_bus.contract.messages import Unreported, UnreportedVerdict
from recorder.database import for_reading
from recorder.oversight.gate_accounts import GateAccounts, Missing
from recorder.tables import Actuation, Inspection

log = logging.getLogger(__name__)

_ROWS_A_LOOK = 1000
_NAMED_AT_ONCE = 100
_MOST_AT_START = 100_000
_RECENT = timedelta(hours=24)  # as long as the broker keeps sessions: what is older was settled or lost before


class Gates:
    """Looks at each row once when it is old enough, and after that only at those without a report.

    Args:
        engine: the database.
        publish: names verdicts to the actuator, which answers with their reports.
        report_after_s: a verdict may be without a report for so long before it is noted, and as long again after.
    """

    def __init__(self, engine: Engine, publish: Callable[[Unreported], None], report_after_s: float) -> None:
        self._engine = for_reading(engine)
        self._publish = publish
        self._report_after = timedelta(seconds=report_after_s)
        self._accounts = GateAccounts(report_after_s)
        self._seen_to: int | None = None

    def look(self, now: datetime) -> None:
        """One round; call it while the actuator is online.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        self._find_new(now)
        due = self._accounts.due(time.monotonic_ns(), _NAMED_AT_ONCE)
        if due:
            self._name(self._accounts.settle(due, self._missing(due), time.monotonic_ns()))

    def _find_new(self, now: datetime) -> None:
        with self._engine.connect() as connection:
            if self._seen_to is None:
                self._seen_to = _id_before(connection, now - _RECENT)
            rows = connection.execute(_next_rows(self._seen_to)).all()
        old_enough = [row.id for row in rows[: self._accounts.room] if row.received_at <= now - self._report_after]
        if old_enough:
            self._seen_to = old_enough[-1]
        # A row among them may be younger: its verdict came after it was made. Nobody looks at it again.
        passed = [row for row in rows if row.id <= self._seen_to and row.received_at >= now - _RECENT]
        self._accounts.note((row.verdict_id for row in passed if not row.reported), time.monotonic_ns())

    def _missing(self, verdict_ids: Collection[str]) -> list[Missing]:
        columns = (Inspection.verdict_id, Inspection.board_id, Inspection.category, Inspection.judged_at)
        without = select(*columns).where(Inspection.verdict_id.in_(verdict_ids), ~reported())
        with self._engine.connect() as connection:
            return [
                Missing(row.verdict_id, row.board_id, row.category, row.judged_at is not None)
                for row in connection.execute(without)
            ]

    def _name(self, missing: Iterable[Missing]) -> None:
        named = tuple(filter(None, map(_named, missing)))
        if named:
            log.info("%d verdicts have no report: they are named to the actuator", len(named))
            self._publish(Unreported(verdicts=named))


def _named(missing: Missing) -> UnreportedVerdict | None:
    """None for a row that another program wrote, and that has no id or category to the contract."""
    try:
        return UnreportedVerdict(verdict_id=missing.verdict_id, board_id=missing.board_id, category=missing.category)
    except ValidationError:
        return None


def reported() -> ColumnElement[bool]:
    """Whether an inspection has a report of its own at the gates; that it came again is none."""
    return exists().where(Actuation.verdict_id == Inspection.verdict_id, Actuation.outcome != "duplicate")


def _id_before(connection: Connection, since: datetime) -> int:
    """An id such that the rows after it are all those since then, and few others."""
    recent = select(Inspection.id).where(Inspection.inspection_time >= since).order_by(Inspection.inspection_time)
    bounded = recent.limit(_MOST_AT_START).subquery()
    first = connection.scalar(select(func.min(bounded.c.id)))
    if first is None:
        first = connection.scalar(select(func.max(Inspection.id)))
        return int(first or 0)
    return int(first) - 1


def _next_rows(after_id: int) -> Select[int, str, datetime, bool]:
    return (
        select(Inspection.id, Inspection.verdict_id, Inspection.received_at, reported().label("reported"))
        .where(Inspection.id > after_id)
        .order_by(Inspection.id)
        .limit(_ROWS_A_LOOK)
    )
