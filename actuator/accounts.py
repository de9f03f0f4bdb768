"""Verdicts that the recorder has, but no report of: every one of them is accounted for, once."""

import logging
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from actuator.auditor import Auditor
from actuator.book import Book
from actuator.clock import Clock
from actuator.decision import missed_outcome
from actuator.reading import Subject
from actuator.reporter import Publish, Reporter, not_fired
from pcb_bus.contract.messages import Id, WireModel

log = logging.getLogger(__name__)

_MOST = 1000


class Named(WireModel):
    """One verdict."""

    verdict_id: Id
    board_id: Id
    category: Id

    @property
    def subject(self) -> Subject:
        return Subject(self.verdict_id, self.board_id, self.category)


class Account(WireModel):
    """Parameters of the command `account`."""

    verdicts: Annotated[tuple[Named, ...], Field(strict=False, max_length=_MOST)]


class Accounts:
    """Used by the thread that owns the book."""

    def __init__(self, book: Book, reporter: Reporter, auditor: Auditor, publish_again: Publish, clock: Clock) -> None:
        self._book = book
        self._reporter = reporter
        self._auditor = auditor
        self._publish_again = publish_again
        self._clock = clock

    def settle(self, account: Account) -> int:
        """Report what the gates never heard of, say again what still waits; returns how many that are.

        Raises:
            OutboxFault: the ledger cannot tell which it knows.
        """
        named = {each.verdict_id: each.subject for each in account.verdicts}
        known = {verdict_id for verdict_id in named if self._book.knows(verdict_id)}
        unknown = named.keys() - known
        if unknown:
            unknown -= self._auditor.held()
        self._report(subject for verdict_id, subject in named.items() if verdict_id in unknown)
        return len(unknown) + self._say_again(known)

    def _report(self, subjects: Iterable[Subject]) -> None:
        reports = [not_fired(subject, missed_outcome(subject.category)) for subject in subjects]
        if reports:
            log.info("%d verdicts never reached the gates, says the recorder", len(reports))
            self._reporter.report(reports, self._clock.wall())

    def _say_again(self, verdict_ids: Iterable[str]) -> int:
        reports = [self._book.standing(verdict_id) for verdict_id in verdict_ids]
        return sum(self._publish_again(report, lambda _: None) for report in reports if report is not None)
