"""A photo-eye's voice: what it announces survives until the recorder has it, whatever the broker loses meanwhile."""

import logging
import threading

from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.durable.fullness import Alert
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import OnAlert, ResendStage
from pcb_bus.durable.resends import Pace
from pcb_bus.errors import OutboxFault
from pcb_bus.mqtt.session import MqttSession, Subscription
from pcb_bus.runtime import metrics

log = logging.getLogger(__name__)

_STOP_S = 1.0


class TriggerSource:
    """Publishes each trigger, writes it down, and says it again to the recorder alone until `pcb/recorded` names it.

    Make it before the session starts; session and outbox stay the caller's, who closes them after `stop`.

    Args:
        on_alert: told when the outbox fills; by default it is logged. A node gives `telling(node, outbox)`.
        pace: at which triggers that nobody has recorded go out again.
    """

    def __init__(
        self,
        session: MqttSession,
        topics: Topics,
        outbox: Outbox,
        on_alert: OnAlert | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._session = session
        self._topics = topics
        self._outbox = outbox
        self._stage = ResendStage(
            session, outbox, topics.resend_trigger, lambda recorded: recorded.triggers, on_alert or _log, pace
        )
        self._thread = threading.Thread(target=self._stage.run, name="triggers-outbox", daemon=True)
        session.subscribe(Subscription(exactly(topics.recorded), self._stage.hear))
        session.on_up(self._stage.connected)

    @property
    def waiting(self) -> int:
        """How many triggers the recorder has not named yet."""
        return len(self._outbox)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say nothing again from now on; what waits stays on disk for the next start."""
        self._stage.stop()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def send(self, trigger: Trigger) -> bool:
        """Publish and write down; one that cannot be kept is published all the same. Any thread.

        Returns:
            Whether the session took it. One that is kept reaches the recorder anyhow.
        """
        payload = encode_json(trigger)
        taken = self._session.publish(self._topics.trigger, payload)
        # After it, for a board stands there: a crash in between is no worse than one a moment before the announcement.
        self._keep(verdict_id(self._topics.root, trigger.board_id, trigger.triggered_at), payload)
        return taken

    def _keep(self, identity: str, payload: bytes) -> None:
        try:
            if not self._outbox.knows(identity):  # a sensor that bounces announces the same pass twice
                self._outbox.keep(identity, payload)
        except OutboxFault as fault:
            metrics.NOT_KEPT.labels("trigger").inc()
            self._session.complain("outbox", str(fault), error=True)


def _log(alert: Alert, detail: str) -> None:
    log.log(logging.getLevelNamesMapping()[alert.level.upper()], "%s", alert.message)
