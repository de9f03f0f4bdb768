"""The oversight of a line: three threads beside the recording, none of which it waits for.

One looks at nodes and disks, one at the database, and one does what takes long: looking for verdicts without a report,
and counting at night. A database that hangs holds up neither the first nor the recording.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Unreported
from pcb_bus.mqtt.session import Subscription
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.workers import Action, Worker
from recorder import faults
from recorder.alert_desk import AlertDesk
from recorder.database import make_engine
from recorder.live_config import LiveValues
from recorder.oversight.boards import BoardCheck, CloseOverdue
from recorder.oversight.checks import DefectRateCheck, DiskCheck, NodeCheck, SpoolCheck
from recorder.oversight.disks import database_place
from recorder.oversight.gates import Gates
from recorder.oversight.nightly import Nightly, nightly_span
from recorder.oversight.settings import AlertSettings, OversightSettings
from recorder.reconcile.findings import Reconciliation
from recorder.reconcile.run import Scope, StatisticsGaps, reconcile

RECONCILIATION = "reconciliation"
_GAPS_IN_AN_ALERT = 20
_ACTUATOR = "actuator"
_AT_HAND, _DATABASE = "oversight", "oversight-database"
_WRITING = "writing alerts"
_WAITING_STATUSES = 1000
_STATUS_QOS = 0  # statuses must not fill the queue that the broker keeps for a recorder that is away


@dataclass(frozen=True, slots=True)
class Watched:
    """What the oversight looks at.

    Args:
        url: the database.
        places: folders and files on this machine that the recorder writes, by what they hold.
        zone: the line's time zone.
        verdict_deadline_ms: a verdict that comes later than this after its trigger was recorded is missing.
        caught_up: whether all that was published is in the database.
        close_overdue: makes boards 미판정 whose verdict did not come, and names them.
        spool_fill: share of the spool that is taken.
        statistics: recounts the statistics for the reconciliation.
    """

    url: URL
    places: Mapping[str, Path]
    zone: ZoneInfo
    verdict_deadline_ms: float
    caught_up: Callable[[], bool]
    close_overdue: CloseOverdue
    spool_fill: Callable[[], float]
    statistics: StatisticsGaps | None = None


class Oversight:
    """Alerts, live values, and the loop with the gates. `desk` takes the alerts of the recorder's other parts.

    Build it before the service starts: it subscribes.
    """

    def __init__(self, service: Service, watched: Watched, alerts: AlertSettings, settings: OversightSettings) -> None:
        self._service = service
        self._watched = watched
        self._settings = settings
        self._engine = make_engine(watched.url)
        self.desk = AlertDesk(self._engine, service.event)
        self.live = LiveValues(self._engine, self._publish_config, service.event)
        self._nodes = NodeCheck(self.desk, alerts, service.node, lambda: service.session.connected)
        self._nightly = Nightly(settings.reconcile_at, watched.zone, datetime.now(UTC))
        self._gates = Gates(self._engine, self._publish_unreported, settings.report_after_s)
        # Past `Service.on`: an empty status says that a node has left the line.
        see = service.worker(_AT_HAND).lane(_WAITING_STATUSES, self._nodes.see, lambda _: None)
        service.session.subscribe(Subscription(service.topics.all_status, see, qos=_STATUS_QOS, retained=True))
        service.session.on_up(self.live.connected)
        self._slow = Worker("oversight-slow")  # its own: to the service, what takes so long would be a fault
        self._declare(alerts)

    def start(self) -> None:
        """Begin what takes long; the rest begins with the service."""
        self._slow.start()

    def stop(self) -> None:
        """Begin to stop; alerts that are not written yet are, if the database takes them in time."""
        self._service.worker(_DATABASE).do(faults.careful(self._service, _WRITING, self.desk.write))
        self._service.join(_AT_HAND, _DATABASE, timeout=0)
        self._slow.stop()

    def close(self) -> None:
        """Once the service has ended."""
        self._engine.dispose()

    def _declare(self, alerts: AlertSettings) -> None:
        watched = self._watched
        places = {**watched.places, **database_place(watched.url)}
        disks = DiskCheck(self.desk, places, alerts.min_free_mb)
        rate = DefectRateCheck(
            self.desk, self._engine, alerts, self._service.topics.root, lambda: self.live.get("alert_defect_rate")
        )
        boards = BoardCheck(
            self.desk, self._engine, watched.close_overdue, watched.caught_up, watched.verdict_deadline_ms
        )
        at_hand, database, slow = self._service.worker(_AT_HAND), self._service.worker(_DATABASE), self._slow
        plan: list[tuple[Worker, float, str, Action]] = [
            (at_hand, 0.5, "nodes", self._nodes.look),
            (at_hand, 10.0, "disks", disks.look),
            (at_hand, 2.0, "the spool", SpoolCheck(self.desk, watched.spool_fill).look),
            (at_hand, 1.0, "alerts", self.desk.tick),
            (database, 0.5, _WRITING, self.desk.write),
            (database, 2.0, "live values", self.live.look),
            (database, 1.0, "boards without a verdict", boards.look),
            (database, 5.0, "alerts that were not raised", boards.find_untold),
            (database, 2.0, "late verdicts", boards.look_for_late_verdicts),
            (database, 2.0, "the defect rate", rate.look),
            (slow, 2.0, "verdicts without a report", self._look_for_unreported),
            (slow, 1.0, "nightly", self._count_at_night),
        ]
        for worker, seconds, name, action in plan:
            worker.every(seconds, faults.careful(self._service, name, action))

    def _publish_config(self, payload: bytes) -> bool:
        return self._service.session.publish(self._service.topics.config, payload, retain=True)

    def _look_for_unreported(self) -> None:
        # Whoever is away would never hear of them, and each is named a few times only.
        if self._settings.gates and self._service.session.connected and self._nodes.is_online(_ACTUATOR):
            self._gates.look(datetime.now(UTC))

    def _publish_unreported(self, unreported: Unreported) -> None:
        session = self._service.session
        if session.connected:  # kept through an outage, it would name verdicts that have their reports by then
            session.publish(self._service.topics.unreported, encode_json(unreported))

    def _count_at_night(self) -> None:
        now = datetime.now(UTC)
        if not self._nightly.is_due(now):
            return
        engine = make_engine(self._watched.url, patient=True)
        try:
            scope = Scope(gates=self._settings.gates, statistics=self._watched.statistics)
            self.report(reconcile(engine, nightly_span(now), scope))
        finally:
            engine.dispose()

    def report(self, result: Reconciliation) -> None:
        """Tell the outcome of a reconciliation: an event, and an alert as long as there are gaps."""
        root, total = self._service.topics.root, result.total
        counts = {kind: number for kind, number in result.gap_counts.items() if number}
        self._service.event(
            "warning" if counts else "info",
            "reconciliation: there are gaps" if counts else "reconciliation: no gap",
            triggers=total.triggers,
            verdicts=total.verdicts,
            reports=total.reports,
            rows=total.rows,
            gaps=counts,
        )
        if not counts:
            self.desk.resolve(RECONCILIATION, root)
            return
        message = "the records have gaps: " + ", ".join(f"{number} × {kind}" for kind, number in counts.items())
        named = [str(gap) for gap in result.gaps[:_GAPS_IN_AN_ALERT]]
        self.desk.raise_alert(RECONCILIATION, root, "error", message, gaps=named)
