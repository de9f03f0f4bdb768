"""One line, one fault after the other, in an order and at moments that the seed chooses; the books after each."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

import pymysql

from faults.books import Audit, Evidence, Pass, audit, commands_carried_out, strangers
from faults.catalogue import Fault
from faults.line import FaultLine, wait
from faults.operator import NotAsPromised
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.durable.trigger_source import TriggerSource
from pcb_bus.errors import BoardlineError
from simulator.conveyor import Conveyor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many boards pass during each fault, and for how long the line may recover afterwards, s."""

    boards: int = 15
    recovery_s: float = 40.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a fault did. `recovery_s`: from its end, or the last board if that came later, until the books balanced."""

    fault: str
    boards: int
    audit: Audit
    recovery_s: float
    trouble: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.audit.balanced and not self.trouble


class Campaign:
    """Boards pass, faults happen, the books are read. One `run` for each campaign."""

    def __init__(self, line: FaultLine, rng: Random, limits: Limits) -> None:
        self._line = line
        self._rng = rng
        self._limits = limits
        self._passed: list[Pass] = []
        self._complained: set[str] = set()
        self._seen = Evidence()
        self._last_spoiled: list[str] = []
        self._counted = threading.Condition()

    def run(self, faults: Sequence[Fault]) -> Iterator[Outcome]:
        """Each fault's outcome as soon as it is known; the last one is of the whole run, read once more."""
        with self._line.trigger_source() as source:
            for each in self._rng.sample(list(faults), len(faults)):
                yield self._suffer(each, source)
        yield self._whole_run()

    def _suffer(self, fault: Fault, source: TriggerSource) -> Outcome:
        trouble = [f"{node} was not there at the start" for node in sorted(self._line.wait_until_up())]
        first = len(self._passed)
        conveyor = self._conveyor(source)
        conveyor.start()
        try:
            self._wait_for_boards(first + self._rng.randint(1, max(1, self._limits.boards // 2)))
            wait(self._rng.uniform(0, self._line.schedule.period_ns / NS_PER_S))
            trouble += self._inflict(fault)
            self._wait_for_boards(first + self._limits.boards)
        finally:
            conveyor.stop()
        return self._settle(fault, self._passed[first:], trouble)

    def _inflict(self, fault: Fault) -> list[str]:
        """Do it and mend it; what went wrong with that."""
        log.info("%s: begins", fault.name)
        try:
            with fault.inject(self._line, self._rng):
                log.info("%s: is there", fault.name)
                wait(self._rng.uniform(*fault.lasts))
        except NotAsPromised as broken:
            log.error("%s: %s", fault.name, broken)
            return [str(broken)]
        except (OSError, BoardlineError, pymysql.err.Error) as error:
            log.exception("%s: was not done as it should be", fault.name)
            return [f"the fault itself failed: {error}"]
        log.info("%s: is over", fault.name)
        return []

    def _settle(self, fault: Fault, passes: Sequence[Pass], trouble: Sequence[str]) -> Outcome:
        began = time.monotonic()
        settled = self._line.witness.wait_until(lambda: self._balanced(passes), self._limits.recovery_s)
        took = time.monotonic() - began
        log.info("%s: looked at after %.1f s", fault.name, took)
        # What balanced is looked at, not what is there a moment later: a board that had no verdict may just get one.
        evidence = self._seen
        if not settled:
            evidence, self._last_spoiled = self._line.evidence(), self._line.spoiled()
        return Outcome(fault.name, len(passes), self._audit(passes, evidence), took, (*trouble, *self._given_up()))

    def _balanced(self, passes: Sequence[Pass]) -> bool:
        try:
            self._seen = self._line.evidence()
            unknown = set(strangers(self._passed, self._seen)) - self._complained
            if unknown or audit(passes, self._seen).lost:  # a report may still be on its way
                return False
            self._last_spoiled = self._line.spoiled()  # or a picture, or the count of an hour
        except (OSError, pymysql.err.Error):
            return False
        return not set(self._last_spoiled) - self._complained

    def _audit(self, passes: Sequence[Pass], evidence: Evidence) -> Audit:
        """Of these boards; and what was doubled or fired for others since the last look."""
        own, all_of_them = audit(passes, evidence), audit(self._passed, evidence)
        made_up = audit(self._line.made_up, evidence)
        return replace(
            own,
            doubled=self._news((*all_of_them.doubled, *strangers(self._passed, evidence))),
            late=self._news((*all_of_them.late, *made_up.late)),
            commands=self._news(commands_carried_out(evidence)),
            spoiled=self._news(self._last_spoiled),
        )

    def _news(self, lines: Sequence[str]) -> tuple[str, ...]:
        fresh = tuple(line for line in lines if line not in self._complained)
        self._complained.update(fresh)
        return fresh

    def _whole_run(self) -> Outcome:
        began = time.monotonic()
        self._line.witness.wait_until(lambda: self._balanced(self._passed), self._limits.recovery_s)
        self._last_spoiled = self._line.spoiled()
        found = self._audit(self._passed, self._line.evidence())
        return Outcome("the whole run, read again", len(self._passed), found, time.monotonic() - began)

    def _given_up(self) -> tuple[str, ...]:
        return self._news(self._line.given_up)

    def _conveyor(self, source: TriggerSource) -> Conveyor:
        line = self._line
        return Conveyor(line.schedule, source.send, self._announce, self._limits.boards)

    def _announce(self, _index: int, trigger: Trigger) -> None:
        key = verdict_id(self._line.topics.root, trigger.board_id, trigger.triggered_at)
        with self._counted:
            self._passed.append(Pass(trigger.board_id, key, trigger.triggered_at))
            self._counted.notify_all()

    def _wait_for_boards(self, count: int) -> None:
        patience = self._limits.boards / self._line.schedule.rate + 10
        with self._counted:
            if not self._counted.wait_for(lambda: len(self._passed) >= count, patience):
                raise TimeoutError("the conveyor stands still")
