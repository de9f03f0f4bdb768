"""The checks that raise and resolve alerts: what each looks at, and what it says. `now` is monotonic ns."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from pcb_bus.contract.messages import NodeStatus
from pcb_bus.contract.times import NS_PER_S, ms_to_ns, now_ns
from recorder.alerts import Alert, Alerts, read_alerts
from recorder.settings import AlertSettings
from records.database import for_reading
from records.tables import Alert as Table
from records.tables import Inspection
from records.times import local_time

NODE_OFFLINE, DISK, SPOOL, DEFECT_RATE = "node_offline", "disk_nearly_full", "spool_filling", "defect_rate"
LOST_BOARD = "unaccounted_board"
_STOPPED = "stopped"  # the detail of a node that ends on purpose
_MOST_NODES = 256
_MEGABYTE = 1_000_000
_DISK_FINE, _RATE_FINE = 1.1, 0.8
_SPOOL_ALERT, _SPOOL_FINE = 0.5, 0.4
_STEP_NS, _PAUSE_NS = NS_PER_S, 2 * NS_PER_S
_CALLS_A_LOOK = 10
_IDS_A_QUERY = 500
_DAY = timedelta(hours=24)
_ALONE, _IN_ONE, _SHOWN = 5, 500, 10  # so many lost boards at once get an alert each, are in one alert, in its message


@dataclass(slots=True)
class _Node:
    heard_at: int
    offline_since: int | None
    detail: str


class Nodes:
    """Nodes that are away: they said so, the broker said so (their will), or their heartbeat is missing.

    `is_online` may be called on any thread, the rest on one.
    """

    def __init__(self, alerts: Alerts, settings: AlertSettings) -> None:
        self._alerts = alerts
        self._grace_ns = round(settings.offline_grace_s * NS_PER_S)
        self._silence_ns = round(settings.silence_s * NS_PER_S)
        self._nodes: dict[str, _Node] = {}

    def see(self, name: str, status: NodeStatus | None, now: int) -> None:
        """A status came; None: the retained one was removed, and the node does not belong to the line any more."""
        before = self._nodes.get(name)
        if status is None:
            self._nodes.pop(name, None)
            self._alerts.resolve(NODE_OFFLINE, name)
        elif before is not None or len(self._nodes) < _MOST_NODES:
            since = None
            if status.state == "offline":
                since = now if before is None or before.offline_since is None else before.offline_since
            self._nodes[name] = _Node(now, since, status.detail)

    def is_online(self, name: str) -> bool:
        node = self._nodes.get(name)
        return node is not None and node.offline_since is None

    def look(self, connected: bool, now: int) -> None:
        """A recorder that is not `connected` hears nothing, which says nothing about the nodes."""
        for name, node in self._nodes.items():
            since = node.offline_since
            if not connected:
                node.heard_at = now
            elif since is not None and now - since >= self._grace_ns:
                stopped = node.detail == _STOPPED
                message = f"{name} was stopped" if stopped else f"{name} is offline"
                self._alerts.raise_alert(
                    NODE_OFFLINE, name, "info" if stopped else "warning", message, reason=node.detail
                )
            elif since is None and now - node.heard_at >= self._silence_ns:
                message = f"{name} is not heard any more"
                self._alerts.raise_alert(NODE_OFFLINE, name, "warning", message, reason="no heartbeat")
            elif since is None:
                self._alerts.resolve(NODE_OFFLINE, name)


def look_at_disks(alerts: Alerts, places: Mapping[str, Path], min_free_mb: float) -> None:
    """Each file system once, whatever of `places` is on it; those that cannot be looked at are left out."""
    disks: dict[int, tuple[list[str], Path, int]] = {}
    for name, path in sorted(places.items()):
        try:
            there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
            free = shutil.disk_usage(there).free
            disks.setdefault(there.stat().st_dev, ([], there, free))[0].append(name)
        except OSError:
            continue
    for names, path, free in disks.values():
        check_disk(alerts, ", ".join(names), path, free, min_free_mb * _MEGABYTE)
    alerts.resolve_others(DISK, [", ".join(names) for names, _, _ in disks.values()])


def check_disk(alerts: Alerts, subject: str, path: Path, free: int, least: float) -> None:
    """`subject` says what is on it; `free` and `least` in bytes. With a tenth more than the least it is fine again."""
    if free < least:
        free_mb = free // _MEGABYTE
        message = f"{free_mb} MB are free on the disk of {subject} ({path})"
        alerts.raise_alert(DISK, subject, "error", message, free_mb=free_mb)
    elif free >= least * _DISK_FINE:
        alerts.resolve(DISK, subject)


def check_spool(alerts: Alerts, fill: float) -> None:
    """`fill` is the share of the spool that is taken: it grows while the database is away."""
    if fill >= _SPOOL_ALERT:
        message = f"the spool is {fill:.0%} full: the database does not take what is recorded"
        alerts.raise_alert(SPOOL, "spool", "error", message)
    elif fill < _SPOOL_FINE:
        alerts.resolve(SPOOL, "spool")


def look_at_defect_rate(
    alerts: Alerts, engine: Engine, line: str, zone: ZoneInfo, settings: AlertSettings, threshold: float
) -> None:
    """Over the latest boards of the line.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    since = local_time(datetime.now(UTC) - timedelta(minutes=settings.defect_rate_minutes), zone)
    latest = (
        select(Inspection.category)
        .where(Inspection.line == line, Inspection.inspection_time >= since)
        .order_by(Inspection.inspection_time.desc())
        .limit(settings.defect_rate_boards)
    )
    with for_reading(engine).connect() as connection:
        categories = connection.scalars(latest).all()
    if len(categories) >= settings.defect_rate_least_boards:
        check_defect_rate(alerts, line, len(categories), sum(each != "normal" for each in categories), threshold)


def check_defect_rate(alerts: Alerts, line: str, boards: int, defective: int, threshold: float) -> None:
    """`defective` of `boards` were defective or not judged. Neither over the threshold nor a fifth below: no news."""
    if defective > threshold * boards:
        message = f"{defective} of the last {boards} boards were not normal"
        details = {"boards": boards, "defective": defective, "threshold": threshold}
        alerts.raise_alert(DEFECT_RATE, line, "warning", message, **details)
    elif defective <= threshold * _RATE_FINE * boards:
        alerts.resolve(DEFECT_RATE, line)


class Steady:
    """Says when the looks have gone on for `length_ns` without a pause, while nobody set the wall clock. Pure."""

    def __init__(self, length_ns: int) -> None:
        self._length_ns = length_ns
        self._since = self._last = self._ahead = 0

    def see(self, wall: int, now: int) -> bool:
        """`wall` in ns since the epoch."""
        if now - self._last > _PAUSE_NS or abs(wall - now - self._ahead) >= _STEP_NS:
            self._since = now
        self._last, self._ahead = now, wall - now
        return now - self._since >= self._length_ns


class LostBoard(Protocol):
    """A pass that was announced and got no verdict."""

    @property
    def verdict_id(self) -> str: ...

    @property
    def board_id(self) -> str: ...


class LostBoards:
    """Boards whose verdict did not come: they are closed as 미판정, and raise alerts.

    An alert ends once its verdicts came after all, after a day, or by a person.

    Args:
        close_overdue: `Store.close_overdue`: of now and the deadline (ns), makes them 미판정 and names them.
    """

    def __init__(
        self,
        alerts: Alerts,
        engine: Engine,
        line: str,
        zone: ZoneInfo,
        close_overdue: Callable[[int, int], Sequence[LostBoard]],
        deadline_ms: float,
    ) -> None:
        self._alerts, self._engine, self._line, self._zone = alerts, for_reading(engine), line, zone
        self._close_overdue = close_overdue
        self._deadline = ms_to_ns(deadline_ms)
        self._steady = Steady(self._deadline)
        self._found_untold = False

    def look(self) -> None:
        """Call it every half second while all that was published is in the database, on the thread that writes boards.

        Only when that has been so for as long as a verdict may take is a missing one missing: what waits in a queue
        after an outage, or while nobody calls this for two seconds, is not.

        Raises:
            DatabaseDown, SQLAlchemyError: it does not answer.
        """
        if not self._found_untold:
            self._raise(self._untold())
            self._found_untold = True
        if not self._steady.see(now_ns(), time.monotonic_ns()):
            return
        for _ in range(_CALLS_A_LOOK):
            found = self._close_overdue(now_ns(), self._deadline)
            if not found:
                break
            self._raise(found)

    def look_for_late_verdicts(self) -> None:
        """Any thread, every few seconds; raises SQLAlchemyError: the database does not answer."""
        alerts = {alert.subject: set(_waits_for(alert)) for alert in self._alerts.open(LOST_BOARD)}
        judged = self._judged(sorted(set[str]().union(*alerts.values())))
        for alert in self._alerts.open(LOST_BOARD):
            if judged >= alerts.get(alert.subject, {alert.subject}):
                self._alerts.resolve(LOST_BOARD, alert.subject)
            elif datetime.now(UTC) - alert.raised_at > _DAY:
                self._alerts.resolve(LOST_BOARD, alert.subject, said="closed after a day, no verdict came")

    def _raise(self, lost: Sequence[LostBoard]) -> None:
        at_once = 1 if len(lost) <= _ALONE else _IN_ONE
        for start in range(0, len(lost), at_once):
            boards = lost[start : start + at_once]
            names = [board.board_id for board in boards[:_SHOWN]]
            more = f" and {len(boards) - _SHOWN} more" if len(boards) > _SHOWN else ""
            message = f"{len(boards)} boards have no verdict: {', '.join(names)}{more}"
            if len(boards) == 1:
                message = f"board {names[0]} has no verdict"
            details = {"boards": names, "verdict_ids": [board.verdict_id for board in boards], "count": len(boards)}
            # A board's own id may come again with its next pass.
            self._alerts.raise_alert(LOST_BOARD, boards[0].verdict_id, "error", message, **details)

    def _untold(self) -> Sequence[LostBoard]:
        """Boards of the last day that a recorder closed, but died before it could raise their alerts."""
        since = datetime.now(UTC) - _DAY
        told = read_alerts(self._engine, self._line, Table.kind == LOST_BOARD, Table.raised_at >= since)
        known = {each for alert in told for each in _waits_for(alert)}
        missing = select(Inspection.verdict_id, Inspection.board_id).where(
            Inspection.line == self._line,
            Inspection.inspection_time >= local_time(since, self._zone),
            Inspection.judged_at.is_(None),
        )
        with self._engine.connect() as connection:
            return [row for row in connection.execute(missing) if row.verdict_id not in known]

    def _judged(self, verdict_ids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        with self._engine.connect() as connection:
            for start in range(0, len(verdict_ids), _IDS_A_QUERY):
                some = Inspection.verdict_id.in_(verdict_ids[start : start + _IDS_A_QUERY])
                judged = select(Inspection.verdict_id).where(Inspection.line == self._line, some)
                found |= set(connection.scalars(judged.where(Inspection.judged_at.is_not(None))))
        return found


def _waits_for(alert: Alert) -> list[str]:
    listed: Any = alert.details.get("verdict_ids")
    return [str(each) for each in listed] if isinstance(listed, list) and listed else [alert.subject]
