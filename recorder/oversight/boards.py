"""Boards whose verdict did not come: they are closed as 미판정, and raise alerts until it comes after all."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, Select, select

from pcb_bus.contract.times import ms_to_ns, now_ns
from recorder.alert_desk import AlertDesk
from recorder.database import for_reading
from recorder.oversight import unaccounted
from recorder.oversight.patience import HeldFor, WallClock
from recorder.oversight.unaccounted import LostBoard
from recorder.tables import Alert, Inspection

_IDS_A_QUERY = 500
_CALLS_A_LOOK = 10
_UNTOLD_FOR = timedelta(hours=24)
_ALERTS_A_LOOK = 1000  # the latest: later verdicts are for a person to find

CloseOverdue = Callable[[int, int], Sequence[LostBoard]]
"""`Store.close_overdue`: of now and the deadline, in ns."""


class BoardCheck:
    """Boards whose verdict did not come.

    Args:
        close_overdue: makes them 미판정 and names them.
        caught_up: whether all that was published is in the database. Only when it has been so for as long as a verdict
            may take is a missing one missing: what waits in a queue after an outage is not.
    """

    def __init__(
        self,
        desk: AlertDesk,
        engine: Engine,
        close_overdue: CloseOverdue,
        caught_up: Callable[[], bool],
        deadline_ms: float,
    ) -> None:
        self._desk = desk
        self._engine = for_reading(engine)
        self._close_overdue = close_overdue
        self._caught_up = caught_up
        self._deadline = ms_to_ns(deadline_ms)
        self._steady = HeldFor(self._deadline)
        self._clock = WallClock()
        self._found_untold = False

    def look(self) -> None:
        now = time.monotonic_ns()
        if not self._steady.see(self._clock.runs_on(now_ns(), now) and self._caught_up(), now):
            return
        lost: list[LostBoard] = []
        for _ in range(_CALLS_A_LOOK):
            found = self._close_overdue(now_ns(), self._deadline)
            lost += found
            if not found:
                break
        self._raise(lost)

    def find_untold(self) -> None:
        """Once: boards that a recorder closed, but died before it could raise their alerts."""
        if not self._found_untold:
            since = datetime.now(UTC) - _UNTOLD_FOR
            with self._engine.connect() as connection:
                told = {each for details in connection.scalars(_alerts_since(since)) for each in _ids(details)}
                missing = connection.execute(_missing_since(since)).all()
            self._raise([row for row in missing if row.verdict_id not in told])
            self._found_untold = True

    def _raise(self, lost: Sequence[LostBoard]) -> None:
        for alert in unaccounted.alerts_for(lost):
            self._desk.raise_alert(unaccounted.KIND, alert.subject, "error", alert.message, **alert.details)

    def look_for_late_verdicts(self) -> None:
        """An alert is over when its verdict came after all."""
        alerts = self._desk.open(unaccounted.KIND)[-_ALERTS_A_LOOK:]
        waited_for = [each for alert in alerts for each in unaccounted.verdict_ids_of(alert)]
        judged: set[str] = set()
        for start in range(0, len(waited_for), _IDS_A_QUERY):
            judged |= self._judged(waited_for[start : start + _IDS_A_QUERY])
        for subject in list(unaccounted.answered(alerts, judged)):
            self._desk.resolve(unaccounted.KIND, subject)

    def _judged(self, verdict_ids: list[str]) -> set[str]:
        found = select(Inspection.verdict_id)
        found = found.where(Inspection.verdict_id.in_(verdict_ids), Inspection.judged_at.is_not(None))
        with self._engine.connect() as connection:
            return set(connection.scalars(found))


def _alerts_since(since: datetime) -> Select[dict[str, Any]]:
    return select(Alert.details).where(Alert.kind == unaccounted.KIND, Alert.raised_at >= since)


def _missing_since(since: datetime) -> Select[str, str]:
    missing = select(Inspection.verdict_id, Inspection.board_id)
    return missing.where(Inspection.inspection_time >= since, Inspection.judged_at.is_(None))


def _ids(details: Mapping[str, Any]) -> list[str]:
    return [str(each) for each in details.get("verdict_ids", ())]
