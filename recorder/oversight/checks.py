"""The checks that raise and resolve alerts: what each looks at, and what it says."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Select, select

from pcb_bus.clock import ms_to_ns, now_ns
from pcb_bus.codec import decode_json
from pcb_bus.errors import MessageRejected
from pcb_bus.inbox import Inbox
from pcb_bus.messages import NodeStatus
from pcb_bus.session import Delivery
from recorder.alert_desk import AlertDesk
from recorder.database import for_reading
from recorder.oversight import unaccounted
from recorder.oversight.defect_rate import latest_rate
from recorder.oversight.disks import MEGABYTE, disks_of, level_of
from recorder.oversight.nodes import NodeWatch
from recorder.oversight.patience import HeldFor, WallClock
from recorder.oversight.settings import AlertSettings
from recorder.oversight.unaccounted import LostBoard
from recorder.tables import Alert, Inspection

_IDS_A_QUERY = 500
_CALLS_A_LOOK = 10
_SPOOL_ALERT, _SPOOL_FINE = 0.5, 0.4
_UNTOLD_FOR = timedelta(hours=24)
_ALERTS_A_LOOK = 1000  # the latest: later verdicts are for a person to find

CloseOverdue = Callable[[int, int], Sequence[LostBoard]]
"""`Store.close_overdue`: of now and the deadline, in ns."""


class NodeCheck:
    """Nodes that are away. `receive` may be called on any thread, the rest on one."""

    KIND = "node_offline"

    def __init__(self, desk: AlertDesk, settings: AlertSettings, own_node: str, connected: Callable[[], bool]) -> None:
        self._desk = desk
        self._watch = NodeWatch(settings.offline_grace_s, settings.silence_s)
        self._own_node = own_node
        self._connected = connected
        self._inbox: Inbox[Delivery] = Inbox(1000)

    def receive(self, delivery: Delivery) -> None:
        self._inbox.put(delivery)

    def is_online(self, node: str) -> bool:
        return self._watch.is_online(node)

    def look(self) -> None:
        for delivery in self._inbox.take_many(1000, timeout=0):
            self._see(delivery)
        now = time.monotonic_ns()
        if not self._connected():
            self._watch.deaf_until(now)
            return
        for absence in self._watch.absent(now):
            self._desk.raise_alert(self.KIND, absence.node, absence.level, absence.message, reason=absence.reason)
        for node in self._watch.present(now):
            self._desk.resolve(self.KIND, node)

    def _see(self, delivery: Delivery) -> None:
        node = delivery.topic.rsplit("/", 1)[-1]
        if node == self._own_node:
            return
        if not delivery.payload:
            self._watch.see(node, None, time.monotonic_ns())
            self._desk.resolve(self.KIND, node)
            return
        try:
            status = decode_json(NodeStatus, delivery.payload)
        except MessageRejected:
            return  # a stranger's; the node's own next one counts
        self._watch.see(node, status, time.monotonic_ns())


class DiskCheck:
    """Disks that are nearly full."""

    KIND = "disk_nearly_full"

    def __init__(self, desk: AlertDesk, places: Mapping[str, Path], min_free_mb: float) -> None:
        self._desk = desk
        self._places = places
        self._least = min_free_mb * MEGABYTE

    def look(self) -> None:
        disks = list(disks_of(self._places))
        for disk in disks:
            level = level_of(disk.free, self._least)
            if level == "fine":
                self._desk.resolve(self.KIND, disk.subject)
            elif level == "low":
                free_mb = disk.free // MEGABYTE
                message = f"{free_mb} MB are free on the disk of {disk.subject} ({disk.path})"
                self._desk.raise_alert(self.KIND, disk.subject, "error", message, free_mb=free_mb)
        self._desk.resolve_others(self.KIND, [disk.subject for disk in disks])


class SpoolCheck:
    """A spool that fills, as it does while the database is away."""

    KIND = "spool_filling"

    def __init__(self, desk: AlertDesk, fill: Callable[[], float]) -> None:
        self._desk = desk
        self._fill = fill

    def look(self) -> None:
        fill = self._fill()
        if fill >= _SPOOL_ALERT:
            message = f"the spool is {fill:.0%} full: the database does not take what is recorded"
            self._desk.raise_alert(self.KIND, "spool", "error", message)
        elif fill < _SPOOL_FINE:
            self._desk.resolve(self.KIND, "spool")


class DefectRateCheck:
    """Too many of the latest boards are not normal.

    Args:
        live_threshold: the live value of `alert_defect_rate`; None: the setting holds.
    """

    KIND = "defect_rate"

    def __init__(
        self,
        desk: AlertDesk,
        engine: Engine,
        settings: AlertSettings,
        line: str,
        live_threshold: Callable[[], float | None],
    ) -> None:
        self._desk = desk
        self._engine = engine
        self._settings = settings
        self._line = line
        self._live_threshold = live_threshold

    def look(self) -> None:
        live = self._live_threshold()
        threshold = self._settings.defect_rate if live is None else live
        rate = latest_rate(self._engine, self._settings, datetime.now(UTC))
        level = rate.level(threshold, self._settings.defect_rate_least_boards)
        if level == "fine":
            self._desk.resolve(self.KIND, self._line)
        elif level == "over":
            message = f"{rate.defective} of the last {rate.boards} boards were not normal"
            details = {"boards": rate.boards, "defective": rate.defective, "threshold": threshold}
            self._desk.raise_alert(self.KIND, self._line, "warning", message, **details)


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
