"""A photo-eye's voice: what it announces survives until the recorder has it, whatever the broker loses meanwhile."""

from functools import partial

from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import Pace, Resender, resend
from pcb_bus.errors import OutboxFault
from pcb_bus.mqtt.session import MqttSession
from pcb_bus.runtime import metrics
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.workers import Worker


class TriggerSource:
    """Publishes each trigger, writes it down, and says it again to the recorder alone until `pcb/recorded` names it.

    Make it before the session starts; session and outbox stay the caller's, who closes them after `stop`.

    Args:
        pace: at which triggers that nobody has recorded go out again.
        node: whose session it is, if a node's; its threads see to the outbox, and `start` and `stop` are not needed.
    """

    def __init__(
        self,
        session: MqttSession,
        topics: Topics,
        outbox: Outbox,
        pace: Pace | None = None,
        node: Service | None = None,
    ) -> None:
        self._session = session
        self._topics = topics
        self._outbox = outbox
        worker = Worker("outbox")
        self.start, self.stop = worker.start, partial(worker.stop, 1.0)
        if node is None:
            complain = session.complain
            Resender(session, topics, "trigger", outbox, worker, lambda _, text, __: complain("outbox", text), pace)
        else:
            resend(node, "trigger", outbox, pace)

    @property
    def waiting(self) -> int:
        """How many triggers the recorder has not named yet."""
        return len(self._outbox)

    def send(self, trigger: Trigger) -> bool:
        """Publish and write down; one that cannot be kept is published all the same. Any thread.

        Returns:
            Whether the session took it. One that is kept reaches the recorder anyhow.
        """
        payload = encode_json(trigger)
        taken = self._session.publish(self._topics.trigger, payload)
        # After it, because a board stands there: a crash in between is no worse than one just before the announcement.
        identity = verdict_id(self._topics.root, trigger.board_id, trigger.triggered_at)
        try:
            if not self._outbox.knows(identity):  # a sensor that bounces announces the same pass twice
                self._outbox.keep(identity, payload)
        except OutboxFault as fault:
            metrics.NOT_KEPT.labels("trigger").inc()
            self._session.complain("outbox", str(fault), error=True)
        return taken
