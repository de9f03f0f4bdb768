"""Verdicts from the gate session: decide, write down, pulse, report."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from actuator import metrics
from actuator.book import Book
from actuator.clock import Clock
from actuator.decision import TOO_MANY, Circumstances, Decision, GatePlan, Rules, Shot, decide
from actuator.driver import PulseResult
from actuator.pulses import Pulse
from actuator.reading import Broken, Subject, read_verdict, subject_of
from actuator.reporter import Reporter, not_fired
from pcb_bus.contract.messages import Actuation, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, ns_to_ms
from pcb_bus.errors import OutboxFault
from pcb_bus.mqtt.session import Delivery

log = logging.getLogger(__name__)

OnBroken = Callable[[Broken], None]
OnFull = Callable[[], None]


class Pulses(Protocol):
    """What switches the pins."""

    @property
    def ready(self) -> bool: ...

    def add(self, pulse: Pulse) -> None: ...


@dataclass(slots=True)
class _UnderWay:
    verdict: Verdict
    shot: Shot
    received_at: int
    repeats: int = 0


class Keeper:
    """Used by one thread. Each verdict leaves here with one outcome, or as a pulse whose result comes to `pulsed`."""

    def __init__(
        self,
        rules: Rules,
        book: Book,
        pulses: Pulses,
        reporter: Reporter,
        on_broken: OnBroken,
        on_full: OnFull,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._book = book
        self._pulses = pulses
        self._reporter = reporter
        self._on_broken = on_broken
        self._on_full = on_full
        self._clock = clock
        self._under_way: dict[str, _UnderWay] = {}

    def judge(self, delivery: Delivery) -> None:
        """Deal with one delivery of the gate session."""
        reading = read_verdict(delivery.payload)
        if isinstance(reading, Broken):
            self._on_broken(reading)
            if reading.subject is not None:
                self._refuse(reading.subject, self._broken_decision(reading, reading.subject))
            return
        now, monotonic = self._clock.wall(), self._clock.monotonic()
        decision = self._decide(reading, now, retained=delivery.retain)
        if decision.shot is not None:
            under_way = _UnderWay(reading, decision.shot, delivery.received_at)
            decision = self._fire(under_way, now, monotonic - now) or decision
        if decision.shot is None:
            self._refuse(subject_of(reading), decision)

    def pulsed(self, result: PulseResult) -> None:
        """Report what became of a pulse."""
        under_way = self._under_way.pop(result.verdict_id)
        subject = subject_of(under_way.verdict)
        if result.outcome == "fired":
            report = _fired(under_way, result.at)
            _measure(under_way, result.at)
        else:
            report = not_fired(subject, result.outcome)
        log.info("board %s (%s): %s, pin %s", subject.board_id, subject.category, report.outcome, report.pin)
        self._reporter.report([report], self._clock.wall())
        for _ in range(under_way.repeats):
            self._reporter.mention(not_fired(subject, "duplicate"))

    def _decide(self, verdict: Verdict, now: int, *, retained: bool) -> Decision:
        try:
            seen = self._book.knows(verdict.verdict_id)
        except OutboxFault as fault:
            return Decision("rejected", str(fault))
        full = len(self._under_way) >= self._rules.max_waiting
        at = Circumstances(now, retained, seen, armed=self._pulses.ready, full=full)
        return decide(verdict, at, self._rules)

    def _fire(self, under_way: _UnderWay, now: int, to_monotonic: int) -> Decision | None:
        """Write down, then pulse; what cannot be written down is refused."""
        verdict, shot = under_way.verdict, under_way.shot
        try:
            self._book.begin(not_fired(subject_of(verdict), "late"), now)
        except OutboxFault as fault:
            return Decision("rejected", str(fault))
        self._under_way[verdict.verdict_id] = under_way
        self._pulses.add(
            Pulse(
                due=shot.due + to_monotonic,
                expires=shot.expires + to_monotonic,
                verdict_id=verdict.verdict_id,
                pin=shot.gate.pin,
                duration_ns=shot.gate.duration_ns,
            )
        )
        return None

    def _refuse(self, subject: Subject, decision: Decision) -> None:
        log.info("board %s (%s): %s, %s", subject.board_id, subject.category, decision.outcome, decision.reason)
        if decision.reason == TOO_MANY:
            self._on_full()
        report = not_fired(subject, decision.outcome)
        if decision.outcome != "duplicate":
            self._reporter.report([report], self._clock.wall())
        elif subject.verdict_id in self._under_way:
            # A reader shall hear of the verdict's own outcome first.
            self._under_way[subject.verdict_id].repeats += 1
        else:
            self._reporter.mention(report)

    def _broken_decision(self, broken: Broken, subject: Subject) -> Decision:
        try:
            known = self._book.knows(subject.verdict_id)
        except OutboxFault as fault:
            return Decision("rejected", str(fault))
        return Decision("duplicate", "seen before") if known else Decision("rejected", str(broken.rejection))


def _fired(under_way: _UnderWay, at: int) -> Actuation:
    verdict, gate = under_way.verdict, under_way.shot.gate
    return Actuation(
        verdict_id=verdict.verdict_id,
        board_id=verdict.board_id,
        category=verdict.category,
        pin=gate.pin,
        outcome="fired",
        fired_at=at,
        duration_ms=_duration_ms(gate),
        latency_ms=round(ns_to_ms(at - verdict.captured_at), 3),
    )


def _duration_ms(gate: GatePlan) -> int:
    return gate.duration_ns // NS_PER_MS


def _measure(under_way: _UnderWay, at: int) -> None:
    metrics.CAPTURED_TO_HIGH.observe((at - under_way.verdict.captured_at) / NS_PER_S)
    if under_way.shot.gate.delay_ns is None:
        metrics.RECEIVED_TO_HIGH.observe((at - under_way.received_at) / NS_PER_S)
    else:
        metrics.PULSE_LAG.observe((at - under_way.shot.due) / NS_PER_S)
