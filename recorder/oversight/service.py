"""The oversight of a line: three threads beside the recording, none of which it waits for.

One looks at nodes and disks, one at the database, and one does what takes long: asking the actuator, and counting at
night. A database that hangs holds up neither the first nor the recording.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import URL

from pcb_bus.mqtt.requests import Requester
from pcb_bus.mqtt.session import Subscription
from pcb_bus.runtime.node import Node
from recorder.alert_desk import AlertDesk
from recorder.database import make_engine
from recorder.live_config import LiveValues
from recorder.oversight.boards import BoardCheck, CloseOverdue
from recorder.oversight.checks import DefectRateCheck, DiskCheck, NodeCheck, SpoolCheck
from recorder.oversight.disks import database_place
from recorder.oversight.gates import ACTUATOR, Gates
from recorder.oversight.nightly import Nightly, nightly_span
from recorder.oversight.rounds import Chore, Rounds
from recorder.oversight.settings import AlertSettings, OversightSettings
from recorder.reconcile.findings import Reconciliation
from recorder.reconcile.run import Scope, StatisticsGaps, reconcile

log = logging.getLogger(__name__)

RECONCILIATION = "reconciliation"
_GAPS_IN_AN_ALERT = 20
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

    Build it before the node starts: it subscribes.
    """

    def __init__(self, node: Node, watched: Watched, alerts: AlertSettings, settings: OversightSettings) -> None:
        self._node = node
        self._watched = watched
        self._settings = settings
        self._engine = make_engine(watched.url)
        self.desk = AlertDesk(self._engine, node.event)
        self.live = LiveValues(self._engine, self._publish_config, node.event)
        self._nodes = NodeCheck(self.desk, alerts, node.identity.node, lambda: node.session.connected)
        self._nightly = Nightly(settings.reconcile_at, watched.zone, datetime.now(UTC))
        self._gates = Gates(
            self._engine,
            Requester(node.session, node.topics, node.identity.node),
            settings.report_after_s,
        )
        subscription = Subscription(node.topics.all_status, self._nodes.receive, qos=_STATUS_QOS, retained=True)
        node.session.subscribe(subscription)
        node.session.on_up(self.live.connected)
        self._rounds = self._plan(alerts)

    def start(self) -> None:
        for rounds in self._rounds:
            rounds.start()

    def ask_to_stop(self) -> None:
        """Begin to stop: what is not written yet is written, if the database takes it."""
        for rounds in self._rounds:
            rounds.ask_to_stop()

    def stop(self, timeout: float = 0.5) -> None:
        """Wait for that, up to `timeout` seconds for all of it."""
        self.ask_to_stop()
        end = time.monotonic() + timeout
        for rounds in self._rounds:
            rounds.join(max(0.0, end - time.monotonic()))
        self._engine.dispose()

    def _plan(self, alerts: AlertSettings) -> tuple[Rounds, ...]:
        watched = self._watched
        places = {**watched.places, **database_place(watched.url)}
        disks = DiskCheck(self.desk, places, alerts.min_free_mb)
        rate = DefectRateCheck(
            self.desk, self._engine, alerts, self._node.topics.root, lambda: self.live.get("alert_defect_rate")
        )
        boards = BoardCheck(
            self.desk, self._engine, watched.close_overdue, watched.caught_up, watched.verdict_deadline_ms
        )
        at_hand = [
            Chore("nodes", 0.5, self._nodes.look),
            Chore("disks", 10.0, disks.look),
            Chore("the spool", 2.0, SpoolCheck(self.desk, watched.spool_fill).look),
            Chore("alerts", 1.0, self.desk.tick),
        ]
        in_the_database = [
            Chore("writing alerts", 0.5, self.desk.write, at_end=True),
            Chore("live values", 2.0, self.live.look),
            Chore("boards without a verdict", 1.0, boards.look),
            Chore("alerts that were not raised", 5.0, boards.find_untold),
            Chore("late verdicts", 2.0, boards.look_for_late_verdicts),
            Chore("the defect rate", 2.0, rate.look),
        ]
        at_length = [
            Chore("reports of the gates", 2.0, self._ask_the_gates),
            Chore("nightly", 1.0, self._count_at_night),
        ]
        complain = self._node.session.complain
        return (
            Rounds("oversight", at_hand, complain),
            Rounds("oversight-database", in_the_database, complain),
            Rounds("oversight-slow", at_length, complain),
        )

    def _publish_config(self, payload: bytes) -> bool:
        return self._node.session.publish(self._node.topics.config, payload, retain=True)

    def _ask_the_gates(self) -> None:
        if self._settings.gates and self._node.session.connected and self._nodes.is_online(ACTUATOR):
            self._gates.look(datetime.now(UTC))

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
        root, total = self._node.topics.root, result.total
        counts = {kind: number for kind, number in result.gap_counts.items() if number}
        self._node.event(
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
