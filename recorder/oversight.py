"""What the recorder looks after besides recording: alerts, live values, lost boards, the gates, the nightly count.

Four threads beside the recording, none of which it waits for: one looks at nodes and disks, one at the database, one at
the gates, and one counts at night. A database that hangs holds up neither the first nor the recording.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import NodeStatus
from pcb_bus.errors import MessageRejected
from pcb_bus.mqtt.session import Delivery, Subscription
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.workers import Action, Worker
from recorder.alerts import Alerts
from recorder.checks import (
    CloseOverdue,
    LostBoards,
    Nodes,
    check_certificate,
    check_spool,
    look_at_defect_rate,
    look_at_disks,
    look_at_serials,
)
from recorder.faults import careful, show
from recorder.gates import Gates
from recorder.live_config import LiveValues
from recorder.reconcile import Reconciliation, Scope, next_run, reconcile
from recorder.settings import RecorderLine
from recorder.spool import Spool
from records.database import make_engine

_GAPS_IN_AN_ALERT = 20
_AT_HAND, _DATABASE = "oversight", "oversight-database"
_WAITING_STATUSES = 1000
_STUCK_S = 3.0
_UNDER_WAY = timedelta(minutes=1)  # a board takes a moment
_NIGHT = timedelta(hours=25) + _UNDER_WAY  # a day in autumn has as many
_AGAIN = timedelta(minutes=10)


class Oversight:
    """Build it before the service starts: it subscribes. `alerts` and `live` are for the recorder's other parts too.

    Args:
        places: folders and files on this machine that the recorder writes, by what they hold.
        close_overdue: `Store.close_overdue`.
        caught_up: whether all that was published is in the database.
    """

    def __init__(
        self,
        service: Service,
        settings: RecorderLine,
        engine: Engine,
        places: Mapping[str, Path],
        spool: Spool,
        close_overdue: CloseOverdue,
        caught_up: Callable[[], bool],
    ) -> None:
        self._service, self._settings, self._engine = service, settings, engine
        line, zone, chosen = settings.root, settings.recorder.zone, settings.recorder
        self.alerts = Alerts(engine, line, service.event, chosen.alerts.again_after_s)
        publish, topics = service.session.publish, service.topics
        self.live = LiveValues(engine, line, lambda values: publish(topics.config, values, retain=True), service.event)
        self._nodes = Nodes(self.alerts, chosen.alerts)
        self._lost = LostBoards(self.alerts, engine, line, zone, close_overdue, caught_up, chosen.verdict_deadline_ms)
        self._gates = Gates(
            engine,
            line,
            zone,
            lambda unreported: publish(topics.unreported, encode_json(unreported)),
            chosen.oversight.report_after_s,
        )
        self._next_night, self._not_before = self._night_after(datetime.now(UTC)), datetime.min.replace(tzinfo=UTC)
        # Past `Service.on`: an empty status says that a node has left the line. QoS 0: statuses must not fill the queue
        # that the broker keeps for a recorder that is away.
        see = service.worker(_AT_HAND).lane(_WAITING_STATUSES, self._see, lambda _: None)
        service.session.subscribe(Subscription(service.topics.all_status, see, qos=0, retained=True))
        service.session.on_up(self.live.connected)
        # Their own threads: to the service, what takes so long would be a fault.
        self._slow, self._nightly = Worker("oversight-slow"), Worker("oversight-nightly")
        min_free_mb = chosen.alerts.min_free_mb
        at_hand, database = service.worker(_AT_HAND), service.worker(_DATABASE)
        plan: list[tuple[Worker, float, str, Action]] = [
            (at_hand, 0.5, "nodes", lambda: self._nodes.look(service.session.connected, time.monotonic_ns())),
            (at_hand, 10.0, "disks", lambda: look_at_disks(self.alerts, places, min_free_mb)),
            (at_hand, 60.0, "the certificate", self._look_at_certificate),
            (at_hand, 2.0, "the spool", lambda: self._look_at_spool(spool)),
            (database, 0.5, "alerts", self.alerts.sync),
            (database, 2.0, "live values", self.live.look),
            (database, 2.0, "late verdicts", self._lost.look_for_late_verdicts),
            (database, 2.0, "the defect rate", self._look_at_defect_rate),
            (database, 2.0, "serials", lambda: look_at_serials(self.alerts, engine, line)),
            (self._slow, 2.0, "verdicts without a report", self._look_for_unreported),
            (self._nightly, 1.0, "nightly", self._count_at_night),
        ]
        for worker, seconds, name, action in plan:
            worker.every(seconds, careful(service, name, action))
        self.look_for_lost_boards = careful(service, "boards without a verdict", self._lost.look)
        """For the thread that writes boards, every half second: nobody else may write one meanwhile. Never raises."""

    def start(self) -> None:
        """Begin what takes long; the rest begins with the service."""
        self._slow.start()
        self._nightly.start()

    def stop(self) -> None:
        """Begin to stop; alerts that are not written yet are, if the database takes them in time."""
        self._service.worker(_DATABASE).do(careful(self._service, "alerts", self.alerts.sync))
        self._service.join(_AT_HAND, _DATABASE, timeout=0)
        self._slow.stop()
        self._nightly.stop()

    def _see(self, delivery: Delivery) -> None:
        node, status = delivery.topic.rsplit("/", 1)[-1], None
        try:
            status = decode_json(NodeStatus, delivery.payload) if delivery.payload else None
        except MessageRejected:
            return  # a stranger's; the node's own next one counts
        if node != self._service.node:
            self._nodes.see(node, status, time.monotonic_ns())

    def _look_at_spool(self, spool: Spool) -> None:
        check_spool(self.alerts, spool.fill, len(spool), spool.pictures_waiting)
        show(self._service, "disk of the spool", "it hangs" if spool.stuck_s > _STUCK_S else "", "critical")

    def _look_at_certificate(self) -> None:
        check_certificate(self.alerts, self._service.session.certificate_ends, time.time())

    def _look_at_defect_rate(self) -> None:
        settings, live = self._settings.recorder, self.live.get("alert_defect_rate")
        threshold = settings.alerts.defect_rate if live is None else live
        look_at_defect_rate(self.alerts, self._engine, self._settings.root, settings.zone, settings.alerts, threshold)

    def _look_for_unreported(self) -> None:
        # Whoever is away would never hear of them, and each is named a few times only.
        online = self._service.session.connected and self._nodes.is_online("actuator")
        if self._settings.recorder.oversight.gates and online:
            self._gates.look(datetime.now(UTC), time.monotonic_ns())

    def _night_after(self, now: datetime) -> datetime | None:
        at = self._settings.recorder.oversight.reconcile_at
        return None if at == "none" else next_run(now, at, self._settings.recorder.zone)

    def _count_at_night(self) -> None:
        now = datetime.now(UTC)
        if self._next_night is None or now < max(self._next_night, self._not_before):
            return
        self._not_before = now + _AGAIN  # if it fails
        settings, since = self._settings, self._next_night - _NIGHT
        engine = make_engine(self._engine.url, patient=True)
        try:
            gates = settings.recorder.oversight.gates
            scope = Scope(settings.root, settings.recorder.zone, since, now - _UNDER_WAY, settings.sides, gates)
            self.report(reconcile(engine, scope))
        finally:
            engine.dispose()
        self._next_night = self._night_after(now)

    def report(self, result: Reconciliation) -> None:
        """Tell the outcome of a reconciliation: an event, and an alert as long as there are gaps."""
        counts, said = result.gap_counts, "there are gaps" if result.gap_counts else "no gap"
        self._service.event(
            "warning" if counts else "info", f"reconciliation: {said}", **{**result.total, "gaps": counts}
        )
        message = "the records have gaps: " + ", ".join(f"{number} × {kind}" for kind, number in counts.items())
        named = [str(gap) for gap in result.gaps[:_GAPS_IN_AN_ALERT]]
        line = self._settings.root
        self.alerts.follow("reconciliation", line, bool(counts), "error", message, gaps=named)
