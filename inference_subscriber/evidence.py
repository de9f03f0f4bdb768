"""What is kept of a board for people to look at."""

import uuid
from collections.abc import Callable

from inference_subscriber.board import Board, Sighting
from inference_subscriber.heat_map import heat_png
from pcb_bus.contract.codec import encode_msgpack
from pcb_bus.contract.messages import Evidence, Verdict, evidence_id
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Outbox
from pcb_bus.errors import OutboxFault
from pcb_bus.mqtt.session import MAX_PACKET_BYTES, MqttSession
from pcb_bus.runtime.metrics import NOT_KEPT

_LARGEST = MAX_PACKET_BYTES - 1024

Pictures = list[tuple[str, bytes]]
"""Evidence as it goes out, by side."""


class EvidenceSender:
    """Publishes the pictures of boards. Those of a board that was not normal outlive this process before its verdict
    goes, and go out again until the recorder names them.

    Args:
        share: of the normal boards whose pictures are published as well, once.
        settle: has the outbox synced soon, on another thread: no verdict waits for that.
    """

    def __init__(
        self, session: MqttSession, topics: Topics, outbox: Outbox, share: float, settle: Callable[[], None]
    ) -> None:
        self._session, self._topics, self._outbox = session, topics, outbox
        self._share, self._settle = share, settle

    def keep(self, verdict: Verdict, board: Board) -> Pictures:
        """What to `send` once the verdict has gone."""
        if not wants_evidence(verdict, self._share):
            return []
        pictures = [(side, _payload(evidence_of(verdict, side, seen))) for side, seen in board.sightings.items()]
        for side, payload in pictures if verdict.category != "normal" else ():
            self._keep(evidence_id(verdict.verdict_id, side), payload)
        return pictures

    def send(self, pictures: Pictures) -> None:
        for side, payload in pictures:
            self._session.publish(self._topics.evidence(side), payload)
        if pictures:
            self._settle()

    def _keep(self, identity: str, payload: bytes) -> None:
        try:
            if not self._outbox.knows(identity):  # it was judged before a crash
                self._outbox.keep(identity, payload)
        except OutboxFault:  # the resender tells
            NOT_KEPT.labels("evidence").inc()


def wants_evidence(verdict: Verdict, share: float) -> bool:
    """Whether to keep its frames: always, unless normal; of those a share that depends on the id alone."""
    return verdict.category != "normal" or uuid.UUID(verdict.verdict_id).int % 10_000 < share * 10_000


def evidence_of(verdict: Verdict, side: str, sighting: Sighting) -> Evidence:
    """The frame, with a heat map where the side was compared with good boards."""
    anomaly = None if sighting.inspected is None else sighting.inspected.findings.anomaly
    return Evidence(
        verdict_id=verdict.verdict_id,
        board_id=verdict.board_id,
        side=side,
        jpeg=sighting.frame.jpeg,
        heat_map=None if anomaly is None else heat_png(anomaly.heat),
    )


def _payload(evidence: Evidence) -> bytes:
    """Without the heat map where no broker would take both: what is never taken holds up what waits behind it."""
    payload = encode_msgpack(evidence)
    return payload if len(payload) <= _LARGEST else encode_msgpack(evidence.model_copy(update={"heat_map": None}))
