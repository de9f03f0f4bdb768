"""Verdicts from the audit session: what never reached the gates is reported too, and never fired.

The gate session has no memory at the broker, so that nothing old can reach a pin. The audit session has one: what was
published while the actuator was away comes through it.
"""

from collections import deque
from dataclasses import dataclass

from actuator.clock import Clock
from actuator.decision import decide_missed
from actuator.ledger import Ledger
from actuator.reading import Broken, Subject, read_verdict, subject_of
from actuator.reporter import Reporter, not_fired
from pcb_bus.clock import NS_PER_S
from pcb_bus.messages import Actuation, Outcome
from pcb_bus.session import Delivery

HOLD_NS = 2 * NS_PER_S
_TOGETHER = 20


@dataclass(frozen=True, slots=True)
class _Held:
    until: int
    subject: Subject
    outcome: Outcome
    delivery: Delivery

    @property
    def report(self) -> Actuation:
        return not_fired(self.subject, self.outcome)


class Auditor:
    """Used by one thread. Holds each delivery back for `hold_ns`, so that the gate session goes first.

    A delivery is acknowledged once its verdict is in the ledger: whatever happens before, it comes again.
    """

    def __init__(self, ledger: Ledger, reporter: Reporter, clock: Clock, hold_ns: int = HOLD_NS) -> None:
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._hold_ns = hold_ns
        self._held: deque[_Held] = deque()

    def hear(self, delivery: Delivery) -> None:
        """Note one delivery of the audit session."""
        subject, outcome = _missed(delivery)
        if subject is None or self._ledger.knows(subject.verdict_id):
            delivery.ack()
        else:
            self._held.append(_Held(self._clock.monotonic() + self._hold_ns, subject, outcome, delivery))

    def settle(self) -> float | None:
        """Report some of what the gates had time to hear of and did not; returns the seconds until the next is due."""
        now = self._clock.monotonic()
        due: list[_Held] = []
        while self._held and self._held[0].until <= now and len(due) < _TOGETHER:
            due.append(self._held.popleft())
        missed = {each.subject.verdict_id: each for each in due if not self._ledger.knows(each.subject.verdict_id)}
        if missed:
            self._reporter.report([each.report for each in missed.values()], self._clock.wall())
        for each in due:
            each.delivery.ack()
        return max(0.0, (self._held[0].until - now) / NS_PER_S) if self._held else None


def _missed(delivery: Delivery) -> tuple[Subject | None, Outcome]:
    reading = read_verdict(delivery.payload)
    if isinstance(reading, Broken):
        return reading.subject, "rejected"
    return subject_of(reading), decide_missed(reading, retained=delivery.retain).outcome
