"""Verdicts from the audit session: what never reached the gates is reported too, and never fired.

The gate session has no memory at the broker, so that nothing old can reach a pin. The audit session has one: what was
published while the actuator was away comes through it.
"""

import logging
from collections import deque
from dataclasses import dataclass

from actuator.book import Book
from actuator.clock import Clock
from actuator.decision import decide_missed
from actuator.reading import Broken, Subject, read_verdict, subject_of
from actuator.reporter import Reporter, not_fired
from pcb_bus.contract.messages import Outcome
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import OutboxFault
from pcb_bus.mqtt.session import Delivery

log = logging.getLogger(__name__)

HOLD_NS = 2 * NS_PER_S
_LOOK_S = 0.5
_TOGETHER = 20


@dataclass(frozen=True, slots=True)
class _Missed:
    subject: Subject
    outcome: Outcome


class Auditor:
    """`hear` may be called by any thread, all else by one. Each delivery is held for `hold_ns`: the gates go first.

    A delivery is acknowledged once its verdict is in the ledger: whatever happens before, it comes again.
    """

    def __init__(self, book: Book, reporter: Reporter, clock: Clock, hold_ns: int = HOLD_NS) -> None:
        self._book = book
        self._reporter = reporter
        self._clock = clock
        self._hold_ns = hold_ns
        self._held: deque[tuple[int, Delivery]] = deque()

    def hear(self, delivery: Delivery) -> None:
        """Note one delivery of the audit session; nobody is woken, for a fresh verdict may be on its way to a gate."""
        self._held.append((self._clock.monotonic() + self._hold_ns, delivery))

    def settle(self) -> float:
        """Report some of what the gates had time to hear of and did not; returns in how many seconds to call again."""
        if self._book.fault is not None:
            return _LOOK_S  # the broker keeps them better than our memory would
        due = self._take_due(self._clock.monotonic())
        try:
            self._report(due)
        except OutboxFault as fault:
            log.warning("%d verdicts cannot be accounted for yet: %s", len(due), fault)
            self._held.extendleft((0, delivery) for delivery in reversed(due))
            return _LOOK_S
        for delivery in due:
            delivery.ack()
        return 0.0 if len(due) == _TOGETHER else _LOOK_S

    def held(self) -> set[str]:
        """Ids of verdicts that the gates may still hear of."""
        read = [_read(delivery) for _, delivery in list(self._held)]
        return {found.subject.verdict_id for found in read if found is not None}

    def _report(self, due: list[Delivery]) -> None:
        missed = {found.subject.verdict_id: found for found in map(_read, due) if found is not None}
        reports = [
            not_fired(each.subject, each.outcome)
            for verdict_id, each in missed.items()
            if not self._book.knows(verdict_id)
        ]
        if reports:
            log.info("%d verdicts never reached the gates", len(reports))
            self._reporter.report(reports, self._clock.wall())

    def _take_due(self, now: int) -> list[Delivery]:
        due: list[Delivery] = []
        while self._held and self._held[0][0] <= now and len(due) < _TOGETHER:
            due.append(self._held.popleft()[1])
        return due


def _read(delivery: Delivery) -> _Missed | None:
    reading = read_verdict(delivery.payload)
    if isinstance(reading, Broken):
        return None if reading.subject is None else _Missed(reading.subject, "rejected")
    return _Missed(subject_of(reading), decide_missed(reading, retained=delivery.retain).outcome)
