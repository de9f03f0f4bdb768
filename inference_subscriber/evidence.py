"""What is kept of a board for people to look at."""

import uuid

from inference_subscriber.board import Sighting
from inference_subscriber.heat_map import heat_png
from pcb_bus.contract.messages import Evidence, Verdict


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
