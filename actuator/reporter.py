"""Exactly one report for each verdict, kept in the ledger until the recorder has named it."""

from collections import deque
from collections.abc import Callable, Sequence

from actuator import metrics
from actuator.book import Book
from actuator.reading import Subject
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Actuation, Outcome
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.mqtt.session import QUEUED_AT_BROKER
from pcb_bus.runtime import metrics as bus_metrics

_RETRIED_AT_ONCE = 500
_STRANDED = QUEUED_AT_BROKER + 1000  # after a long absence, a report for each verdict that waited
_NAMED_TOGETHER = 100
_RETRY_NS = 2 * NS_PER_S

OnAnswer = Callable[[bool], None]
Publish = Callable[[bytes, OnAnswer], bool]
"""Hands a report to the broker; False when it was not taken. `on_answer(accepted)` comes later, on any thread."""
Defer = Callable[[Callable[[], None]], None]


class Reporter:
    """Used by one thread; `defer` brings the broker's answers there.

    A report that was refused, or found no room in the session's queue (after a long absence there are many), goes out
    later. What no recorder names stays in the ledger, from where `Resends` sends it again.
    """

    def __init__(self, book: Book, publish: Publish, defer: Defer) -> None:
        self._book = book
        self._publish = publish
        self._defer = defer
        self._named: list[str] = []
        self._stranded: deque[bytes] = deque(maxlen=_STRANDED)
        self._retried_at = -_RETRY_NS

    def report(self, reports: Sequence[Actuation], now: int) -> None:
        """Write outcomes down, then publish them."""
        bus_metrics.NOT_KEPT.labels("actuation").inc(self._book.settle(reports, now))
        for report in reports:
            metrics.OUTCOMES.labels(report.outcome).inc()
            self.publish(encode_json(report))

    def mention(self, report: Actuation) -> None:
        """Publish what is not the verdict's own outcome: that it came again."""
        metrics.OUTCOMES.labels(report.outcome).inc()
        self._publish(encode_json(report), lambda _: None)

    def publish(self, report: bytes) -> None:
        """Say for the first time what stands in the ledger."""
        if not self._hand_over(report):
            self._stranded.append(report)

    def retry(self, now: int) -> None:
        """Publish what was not taken, the oldest first, and not all the time. `now`: monotonic ns."""
        if not self._stranded or now - self._retried_at < _RETRY_NS:
            return
        self._retried_at = now
        for _ in range(min(len(self._stranded), _RETRIED_AT_ONCE)):
            if not self._hand_over(self._stranded[0]):
                return
            self._stranded.popleft()

    def named(self, verdict_ids: Sequence[str]) -> None:
        """The recorder has their reports."""
        self._named.extend(verdict_ids)
        if len(self._named) >= _NAMED_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Write down which reports the recorder has."""
        if self._named:
            self._book.clear(self._named)
            self._named.clear()

    def _hand_over(self, report: bytes) -> bool:
        def on_answer(accepted: bool) -> None:
            if not accepted:
                self._defer(lambda: self._stranded.append(report))

        return self._publish(report, on_answer)


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
