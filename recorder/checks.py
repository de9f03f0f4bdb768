"""The checks that raise and resolve alerts: what each looks at, and what it says. `now` is monotonic ns."""

import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, func, select

from pcb_bus.contract.messages import Level, NodeStatus
from pcb_bus.contract.times import NS_PER_S, ms_to_ns, now_ns
from recorder.alerts import Alert, Alerts, read_alerts
from recorder.settings import AlertSettings
from records.database import for_reading
from records.tables import Alert as Table
from records.tables import Inspection, Serial
from records.times import local_time

NODE, DISK, SPOOL, RATE = "node_offline", "disk_nearly_full", "spool_filling", "defect_rate"
LOST, CERTIFICATE = "unaccounted_board", "certificate_ends"
OTHER_PRODUCT, TWO_SERIALS = "serial_of_other_product", "two_serials_on_a_side"
_STOPPED = "stopped"  # the detail of a node that ends on purpose
_MOST_NODES = 256
_MEGABYTE = 1_000_000
_ALL_HEARD_NS = 120 * NS_PER_S  # so long after connecting, what says nothing has left the line
_STEP_NS, _PAUSE_NS = NS_PER_S, 2 * NS_PER_S
_CALLS_A_LOOK, _ALERTS_A_LOOK = 10, 1000
_DAY = timedelta(hours=24)
_CERTIFICATE_DAYS = 30
_ALONE, _IN_ONE, _SHOWN = 5, 500, 10  # so many lost boards at once get an alert each, are in one alert, in its message

CloseOverdue = Callable[[int, int], Sequence[Any]]
"""`Store.close_overdue`: of now and the deadline (ns), makes boards 미판정 and names them."""


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
        self._away_at: int | None = None

    def see(self, name: str, status: NodeStatus | None, now: int) -> None:
        """A status came; None: the retained one was removed, and the node does not belong to the line any more."""
        before = self._nodes.get(name)
        if status is None:
            self._nodes.pop(name, None)
            self._alerts.resolve(NODE, name)
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
        if not connected or self._away_at is None:
            self._away_at = now
        elif now - self._away_at >= _ALL_HEARD_NS:
            self._alerts.resolve_others(NODE, self._nodes)
        for name, node in self._nodes.items():
            if not connected:
                node.heard_at = now
            elif node.offline_since is None:
                silent = now - node.heard_at >= self._silence_ns
                message = f"{name} is not heard any more"
                self._alerts.follow(NODE, name, silent, "warning", message, reason="no heartbeat")
            elif now - node.offline_since >= self._grace_ns:
                level: Level = "info" if node.detail == _STOPPED else "warning"
                message = f"{name} was stopped" if node.detail == _STOPPED else f"{name} is offline"
                self._alerts.raise_alert(NODE, name, level, message, reason=node.detail)


def look_at_disks(alerts: Alerts, places: Mapping[str, Path], min_free_mb: float) -> None:
    """Each file system once, whatever of `places` is on it; those that cannot be looked at are left out."""
    disks: dict[int, tuple[list[str], Path, int]] = {}
    for name, path in sorted(places.items()):
        with suppress(OSError):
            there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
            free = shutil.disk_usage(there).free
            disks.setdefault(there.stat().st_dev, ([], there, free))[0].append(name)
    for names, path, free in disks.values():
        check_disk(alerts, ", ".join(names), path, free, min_free_mb * _MEGABYTE)
    alerts.resolve_others(DISK, [", ".join(names) for names, _, _ in disks.values()])


def check_disk(alerts: Alerts, subject: str, path: Path, free: int, least: float) -> None:
    """`subject` says what is on it; `free` and `least` in bytes. With a tenth more than the least it is fine again."""
    message = f"{free // _MEGABYTE} MB are free on the disk of {subject} ({path})"
    is_low = _over(-free, -least, -1.1 * least)
    alerts.follow(DISK, subject, is_low, "error", message, free_mb=free // _MEGABYTE)


def check_spool(alerts: Alerts, fill: float, messages: int, pictures: int) -> None:
    """`fill` is the share of the spool that is taken; what waits in it are messages and pictures."""
    waiting = f"{messages} messages wait for the database, {pictures} pictures for their store"
    message = f"the spool is {fill:.0%} full: {waiting}"
    alerts.follow(SPOOL, "spool", _over(fill, 0.5, 0.4), "error", message)


def check_certificate(alerts: Alerts, ends: float | None, now: float) -> None:
    """`ends` as the broker showed it, s since the epoch; None where it shows none."""
    days = math.inf if ends is None else (ends - now) / _DAY.total_seconds()
    message = f"the certificate of the broker ends in {max(days, 0):.0f} days; start the broker again, which renews it"
    alerts.follow(CERTIFICATE, "broker", days < _CERTIFICATE_DAYS, "error" if days < 7 else "warning", message)


def look_at_defect_rate(
    alerts: Alerts, engine: Engine, line: str, zone: ZoneInfo, settings: AlertSettings, threshold: float
) -> None:
    """Over the latest boards of the line.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    since = local_time(datetime.now(UTC) - timedelta(minutes=settings.defect_rate_minutes), zone)
    latest = select(Inspection.category).where(Inspection.line == line, Inspection.inspection_time >= since)
    latest = latest.order_by(Inspection.inspection_time.desc()).limit(settings.defect_rate_boards)
    with for_reading(engine).connect() as connection:
        categories = connection.scalars(latest).all()
    if len(categories) >= settings.defect_rate_least_boards:
        check_defect_rate(alerts, line, len(categories), sum(each != "normal" for each in categories), threshold)


def check_defect_rate(alerts: Alerts, line: str, boards: int, defective: int, threshold: float) -> None:
    """`defective` of `boards` were defective or not judged. A fifth below the threshold it is fine again."""
    message = f"{defective} of the last {boards} boards were not normal"
    is_over = _over(defective, threshold * boards, 0.8 * threshold * boards)
    details = {"boards": boards, "defective": defective, "threshold": threshold}
    alerts.follow(RATE, line, is_over, "warning", message, **details)


def look_at_serials(alerts: Alerts, engine: Engine, line: str) -> None:
    """Of the last day, those that contradict their boards: an alert for each product that they name, and each side.

    It ends a day after the last of them, or by a person; the next one after that raises it again.

    Raises:
        SQLAlchemyError: the database does not answer.
    """
    since, kinds = datetime.now(UTC) - _DAY, (OTHER_PRODUCT, TWO_SERIALS)
    lately = Serial.line == line, Serial.conflict.in_(("product", "serial")), Serial.received_at >= since
    newest = select(func.max(Serial.id)).where(*lately).group_by(Serial.conflict, Serial.product, Serial.camera_id)
    resolved = select(Table.kind, Table.subject, func.max(Table.resolved_at).label("at"))
    resolved = resolved.where(Table.line == line, Table.kind.in_(kinds)).group_by(Table.kind, Table.subject)
    with for_reading(engine).connect() as connection:
        ids = connection.scalars(newest).all()
        rows = connection.execute(select(Serial.__table__).where(Serial.id.in_(ids)).order_by(Serial.id)).all()
        told = {(alert.kind, alert.subject): alert.at for alert in connection.execute(resolved)} if rows else {}
        found = [(row.received_at, *_conflict(connection, row)) for row in rows]
    for received_at, kind, subject, message, details in found:
        if (until := told.get((kind, subject))) is None or received_at > until:
            alerts.raise_alert(kind, subject, "warning", message, **details)
    for kind in kinds:
        alerts.resolve_others(kind, {each[2] for each in found if each[1] == kind})


def _conflict(connection: Connection, serial: Any) -> tuple[str, str, str, dict[str, Any]]:
    """Kind, subject, message and details of the alert about a row of the serials."""
    board, side = serial.board_id, serial.camera_id
    details = {"board_id": board, "verdict_id": serial.verdict_id, "side": side, "serial": serial.serial}
    if serial.conflict == "product":
        passed = Inspection.line == serial.line, Inspection.verdict_id == serial.verdict_id
        running = connection.scalar(select(Inspection.product).where(*passed))
        likely = "another product is on the belt, or the line was not told that it changed"
        message = f"board {board} is {serial.product} by its serial {serial.serial}, but {running} is running: {likely}"
        return OTHER_PRODUCT, serial.product, message, details | {"product": serial.product, "running": running}
    here = Serial.line == serial.line, Serial.verdict_id == serial.verdict_id, Serial.camera_id == side
    read = connection.scalars(select(Serial.serial).where(*here).order_by(Serial.id)).all()
    likely = "two boards were in view, or a label is no serial; narrow edge.serial_region or edge.serial_pattern"
    message = f"{side} read {len(read)} serials on board {board}, {', '.join(read[:_SHOWN])}: {likely}"
    return TWO_SERIALS, side, message, details | {"serials": read[:_SHOWN]}


def _over(value: float, high: float, low: float) -> bool | None:
    """Between the two neither is news."""
    return True if value > high else False if value <= low else None


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


class LostBoards:
    """Boards whose verdict did not come: they are closed as 미판정, and raise alerts.

    An alert ends once its verdicts came after all, after a day, or by a person.

    Args:
        caught_up: whether all that was published is in the database.
    """

    def __init__(
        self,
        alerts: Alerts,
        engine: Engine,
        line: str,
        zone: ZoneInfo,
        close_overdue: CloseOverdue,
        caught_up: Callable[[], bool],
        deadline_ms: float,
    ) -> None:
        self._alerts, self._engine, self._line, self._zone = alerts, for_reading(engine), line, zone
        self._close_overdue, self._caught_up = close_overdue, caught_up
        self._deadline = ms_to_ns(deadline_ms)
        self._steady = Steady(self._deadline)
        self._found_untold = False

    def look(self) -> None:
        """Call it every half second, on the thread that writes boards.

        Only when all has been caught up for as long as a verdict may take is a missing one missing: what waits in a
        queue after an outage, or while nobody calls this for two seconds, is not.

        Raises:
            DatabaseDown, SQLAlchemyError: it does not answer.
        """
        if not self._caught_up():
            self._steady = Steady(self._deadline)
            return
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
        with self._engine.connect() as connection:
            for alert in self._alerts.open(LOST)[-_ALERTS_A_LOOK:]:
                waited_for = _waits_for(alert)
                mine = Inspection.line == self._line, Inspection.verdict_id.in_(waited_for)
                judged = connection.scalars(
                    select(Inspection.verdict_id).where(*mine, Inspection.judged_at.is_not(None))
                )
                if set(judged) >= set(waited_for):
                    self._alerts.resolve(LOST, alert.subject)
                elif abs(datetime.now(UTC) - alert.raised_at) > _DAY:  # or raised while the clock was ahead
                    self._alerts.resolve(LOST, alert.subject, said="closed after a day, no verdict came")

    def _raise(self, lost: Sequence[Any]) -> None:
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
            self._alerts.raise_alert(LOST, boards[0].verdict_id, "error", message, **details)

    def _untold(self) -> Sequence[Any]:
        """Boards of the last day that a recorder closed, but died before it could raise their alerts."""
        since = datetime.now(UTC) - _DAY
        told = read_alerts(self._engine, self._line, Table.kind == LOST, Table.raised_at >= since)
        known = {each for alert in told for each in _waits_for(alert)}
        missing = select(Inspection.verdict_id, Inspection.board_id).where(
            Inspection.line == self._line,
            Inspection.inspection_time >= local_time(since, self._zone),
            Inspection.judged_at.is_(None),
        )
        with self._engine.connect() as connection:
            return [row for row in connection.execute(missing) if row.verdict_id not in known]


def _waits_for(alert: Alert) -> list[str]:
    listed: Any = alert.details.get("verdict_ids")
    return [str(each) for each in listed] if isinstance(listed, list) and listed else [alert.subject]
