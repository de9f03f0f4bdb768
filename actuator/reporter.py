"""Exactly one report for each verdict, kept in the ledger until the broker has it."""

import logging
from collections.abc import Callable, Sequence

from actuator import metrics
from actuator.ledger import Ledger
from actuator.reading import Subject
from pcb_bus.clock import NS_PER_S
from pcb_bus.codec import encode_json
from pcb_bus.messages import Actuation, Outcome

log = logging.getLogger(__name__)

_MAX_IN_FLIGHT = 500
_RECEIPTS_TOGETHER = 100
_RETRY_NS = 2 * NS_PER_S

OnAnswer = Callable[[bool], None]
Publish = Callable[[bytes, OnAnswer], bool]
"""Hands a report to the broker; False when it was not taken. `on_answer(accepted)` comes later, on any thread."""
Defer = Callable[[Callable[[], None]], None]


class Reporter:
    """Used by one thread; `defer` brings the broker's answers there.

    A report that was not acknowledged goes out again after a reconnect or a restart; one that was refused, or found no
    room in the session's queue (after a long absence there are many), also in between. Whoever wants to clear reports
    by `pcb/recorded` instead of the broker's word calls `Ledger.reported` from there.
    """

    def __init__(self, ledger: Ledger, publish: Publish, defer: Defer) -> None:
        self._ledger = ledger
        self._publish = publish
        self._defer = defer
        self._in_flight: set[str] = set()
        self._receipts: list[str] = []
        self._stranded = False
        self._retried_at = -_RETRY_NS

    def report(self, reports: Sequence[Actuation], now: int) -> None:
        """Write outcomes down, then publish them."""
        self._ledger.settle(reports, now)
        for report in reports:
            metrics.OUTCOMES.labels(report.outcome).inc()
            self._send(report.verdict_id, encode_json(report))

    def mention(self, report: Actuation) -> None:
        """Publish what is not the verdict's own outcome: that it came again."""
        metrics.OUTCOMES.labels(report.outcome).inc()
        self._publish(encode_json(report), lambda _: None)

    def resend(self) -> None:
        """Publish again what the broker has not acknowledged, the oldest first."""
        self.flush()
        oldest = self._ledger.unreported(_MAX_IN_FLIGHT)
        self._stranded = len(oldest) == _MAX_IN_FLIGHT
        waiting = [each for each in oldest if each.verdict_id not in self._in_flight]
        if waiting:
            log.info("%d reports were never acknowledged; sending them again", len(waiting))
        for stored in waiting:
            if not self._send(stored.verdict_id, stored.payload):
                return

    def retry(self, now: int) -> None:
        """`resend`, if there is reason to, and not all the time. `now`: monotonic ns."""
        if self._stranded and now - self._retried_at >= _RETRY_NS:
            self._retried_at = now
            self.resend()

    def flush(self) -> None:
        """Write down which reports the broker has."""
        if self._receipts:
            self._ledger.reported(self._receipts)
            self._receipts.clear()

    def _send(self, verdict_id: str, payload: bytes) -> bool:
        def on_answer(accepted: bool) -> None:
            self._defer(lambda: self._answered(verdict_id, accepted))

        taken = self._publish(payload, on_answer)
        if taken:
            self._in_flight.add(verdict_id)
        else:
            self._stranded = True
        return taken

    def _answered(self, verdict_id: str, accepted: bool) -> None:
        self._in_flight.discard(verdict_id)
        if accepted:
            self._receipts.append(verdict_id)
        else:
            self._stranded = True
        if len(self._receipts) >= _RECEIPTS_TOGETHER:
            self.flush()


def not_fired(subject: Subject, outcome: Outcome) -> Actuation:
    """The report of a verdict that moved no gate."""
    return Actuation(
        verdict_id=subject.verdict_id,
        board_id=subject.board_id,
        category=subject.category,
        pin=None,
        outcome=outcome,
        fired_at=None,
        duration_ms=None,
        latency_ms=None,
    )
