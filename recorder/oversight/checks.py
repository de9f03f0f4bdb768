"""The checks that raise and resolve alerts: what each looks at, and what it says."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import NodeStatus
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery
from recorder.alert_desk import AlertDesk
from recorder.oversight.defect_rate import latest_rate
from recorder.oversight.disks import MEGABYTE, disks_of, level_of
from recorder.oversight.nodes import NodeWatch
from recorder.oversight.settings import AlertSettings

_SPOOL_ALERT, _SPOOL_FINE = 0.5, 0.4


class NodeCheck:
    """Nodes that are away. `is_online` may be called on any thread, the rest on one."""

    KIND = "node_offline"

    def __init__(self, desk: AlertDesk, settings: AlertSettings, own_node: str, connected: Callable[[], bool]) -> None:
        self._desk = desk
        self._watch = NodeWatch(settings.offline_grace_s, settings.silence_s)
        self._own_node = own_node
        self._connected = connected

    def is_online(self, node: str) -> bool:
        return self._watch.is_online(node)

    def look(self) -> None:
        now = time.monotonic_ns()
        if not self._connected():
            self._watch.deaf_until(now)
            return
        for absence in self._watch.absent(now):
            self._desk.raise_alert(self.KIND, absence.node, absence.level, absence.message, reason=absence.reason)
        for node in self._watch.present(now):
            self._desk.resolve(self.KIND, node)

    def see(self, delivery: Delivery) -> None:
        """A status came."""
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
