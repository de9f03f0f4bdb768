"""From a verdict to its report: decide, write down, pulse, report. One outcome for each verdict, whatever happens."""

import logging
from collections import OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from actuator import metrics
from actuator.decide import NO_TRIGGER, TOO_MANY, Circumstances, Decision, Rules, decide, outcome_unheard
from actuator.ledger import Ledger
from actuator.pulses import Clock, PulseResult, Pulses
from actuator.triggers import BoardMoments
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Actuation, Id, Level, UnreportedVerdict, Verdict, WireModel
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, ns_to_ms
from pcb_bus.durable.outbox import Outbox
from pcb_bus.errors import MessageRejected, OutboxFault
from pcb_bus.mqtt.session import Delivery
from pcb_bus.runtime.metrics import NOT_KEPT

log = logging.getLogger(__name__)

_IN_MIND = 10_000
_LATEST = 200  # decided here: known although the disk fails
_WRITTEN_AT_ONCE = 20  # a fresh verdict waits for no more
_MAX_LATENCY_MS = 3_600_000.0
_NAMED_IN_EVENT = 20


class Voice(Protocol):
    """What a station says."""

    def publish(self, report: bytes) -> object:
        """Say a report on `pcb/actuation`."""

    def reject(self, rejection: MessageRejected) -> None:
        """Count a payload that is no verdict."""

    def tell(self, level: Level, message: str, **details: Any) -> None:
        """What a person should know."""


class Subject(WireModel):
    """Whom a report is about: what is read even of a verdict that is broken."""

    verdict_id: Id
    board_id: Id
    category: Any = None

    def report(self, outcome: Any, **fired: Any) -> Actuation:
        """A report; without more, of a verdict that moved no gate."""
        nothing = dict.fromkeys(("pin", "fired_at", "duration_ms", "latency_ms"))
        named = {"verdict_id": self.verdict_id, "board_id": self.board_id, "outcome": outcome, **nothing, **fired}
        try:
            return Actuation(category=self.category, **named)
        except ValidationError:
            return Actuation(category="unknown", **named)


@dataclass(slots=True)
class _UnderWay:
    subject: Subject
    captured_at: int
    triggered: int | None
    delivery: Delivery
    at_once: bool
    repeats: int = 0


class Verdicts:
    """Used by one thread, but for `moments`. Each verdict leaves with one outcome, at once or when its pulse is over.

    Args:
        moments: when each board stood before the cameras.
    """

    def __init__(
        self,
        rules: Rules,
        ledger: Ledger,
        outbox: Outbox,
        pulses: Pulses,
        moments: BoardMoments,
        voice: Voice,
        clock: Clock | None = None,
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._outbox = outbox
        self._pulses = pulses
        self._moments = moments
        self._voice = voice
        self._clock = clock or Clock()
        self._under_way: dict[str, _UnderWay] = {}
        self._in_mind: OrderedDict[str, Actuation] = OrderedDict()
        self._latest: deque[str] = deque(maxlen=_LATEST)
        self._recovered = False
        self.fault = ""
        """Why ledger or outbox cannot be used; empty when they can."""

    def judge(self, delivery: Delivery) -> None:
        """Deal with what came on `pcb/verdict` at `received_at` (by the station's `wall`), whatever it is."""
        try:
            verdict = decode_json(Verdict, delivery.payload)
        except MessageRejected as rejection:
            self._judge_broken(delivery.payload, rejection)
            return
        subject = Subject(verdict_id=verdict.verdict_id, board_id=verdict.board_id, category=verdict.category)
        try:
            at = self._circumstances(verdict, delivery)
            decision = decide(verdict, at, self._rules)
            if decision.pulse is not None:
                self._ledger.begin(verdict.verdict_id, encode_json(subject.report("unknown")), at.now)
        except OutboxFault as fault:
            self.fault = str(fault)
            decision = Decision("rejected", self.fault)
        if decision.pulse is None:
            self._refuse(subject, decision)
            return
        at_once = self._rules.gates[verdict.category].delay_ns is None
        self._under_way[verdict.verdict_id] = _UnderWay(subject, verdict.captured_at, at.triggered, delivery, at_once)
        self._pulses.add(decision.pulse)

    def pulsed(self, result: PulseResult) -> None:
        """Report what became of a pulse."""
        pulse = result.pulse
        board = self._under_way.pop(pulse.verdict_id)
        report = board.subject.report(result.outcome)
        if result.outcome == "fired":
            since = result.wall - board.captured_at if board.triggered is None else result.monotonic - board.triggered
            latency_ms = min(max(0.0, round(ns_to_ms(since), 3)), _MAX_LATENCY_MS)
            report = board.subject.report(
                "fired",
                pin=pulse.pin,
                fired_at=result.wall,
                duration_ms=pulse.duration_ns // NS_PER_MS,
                latency_ms=latency_ms,
            )
            metrics.CAPTURED_TO_HIGH.observe(latency_ms / 1000)
            if board.at_once:
                metrics.RECEIVED_TO_HIGH.observe((result.wall - board.delivery.received_at) / NS_PER_S)
            else:
                metrics.PULSE_LAG.observe((result.monotonic - pulse.due) / NS_PER_S)
        log.info("board %s (%s): %s, pin %s", report.board_id, report.category, report.outcome, report.pin)
        self._report(report)
        for _ in range(board.repeats):
            self._mention(board.subject)

    def answer(self, named: UnreportedVerdict) -> None:
        """The recorder has no report of this verdict. What fired is said again; what was never heard of is late."""
        if named.verdict_id in self._under_way or named.verdict_id in self._in_mind:
            return  # its report is still to come, or to be written down
        try:
            report = self._ledger.report_of(named.verdict_id)
            if report is not None:
                self._voice.publish(report)
            elif not self._seen(named.verdict_id):
                subject = Subject(**named.model_dump())
                log.info("board %s never reached the gates, says the recorder", subject.board_id)
                self._report(subject.report(outcome_unheard(named.category)))
        except OutboxFault as fault:
            log.warning("verdict %s cannot be accounted for yet: %s", named.verdict_id, fault)

    def look(self) -> None:
        """Now and then: report what a crash caught while firing, write down what could not be, forget what is old."""
        try:
            self._recover()
            self._ledger.forget_old(self._clock.wall())
            self._outbox.knows("")
            if self.fault:
                self._ledger.probe()
            self.fault = ""
        except OutboxFault as fault:
            self.fault = str(fault)
        with suppress(OutboxFault):
            for verdict_id in list(self._in_mind)[:_WRITTEN_AT_ONCE]:
                self._write_down(self._in_mind[verdict_id])
                del self._in_mind[verdict_id]

    def _circumstances(self, verdict: Verdict, delivery: Delivery) -> Circumstances:
        return Circumstances(
            now=self._clock.wall(),
            monotonic=self._clock.monotonic(),
            retained=delivery.retain,
            seen=self._seen(verdict.verdict_id),
            armed=self._pulses.ready,
            full=len(self._under_way) >= self._rules.max_waiting,
            triggered=self._moments.of(verdict.verdict_id),
            doubt=self._clock.doubt(),
        )

    def _seen(self, verdict_id: str) -> bool:
        """Whether its outcome is known, or under way.

        Raises:
            OutboxFault: nobody can tell.
        """
        return (
            verdict_id in self._under_way
            or verdict_id in self._in_mind
            or verdict_id in self._latest
            or self._ledger.report_of(verdict_id) is not None
            or self._outbox.knows(verdict_id)
        )

    def _judge_broken(self, payload: bytes, rejection: MessageRejected) -> None:
        """A payload that is no verdict is reported too, if its ids can be read."""
        self._voice.reject(rejection)
        try:
            if rejection.reason == "too_large":
                raise rejection
            subject = Subject.model_validate_json(payload)
            seen = self._seen(subject.verdict_id)
        except OutboxFault as fault:
            self._refuse(subject, Decision("rejected", str(fault)))
        except ValueError:
            self._voice.tell("warning", "an unreadable verdict fired nothing", reason=str(rejection))
        else:
            self._refuse(subject, Decision("duplicate" if seen else "rejected", str(rejection)))

    def _refuse(self, subject: Subject, decision: Decision) -> None:
        log.info("board %s (%s): %s, %s", subject.board_id, subject.category, decision.outcome, decision.reason)
        if decision.reason in {TOO_MANY, NO_TRIGGER}:
            self._voice.tell("error", f"a gate stays silent: {decision.reason}", board_id=subject.board_id)
        if decision.outcome != "duplicate":
            self._report(subject.report(decision.outcome))
        elif subject.verdict_id in self._under_way:
            self._under_way[subject.verdict_id].repeats += 1  # its own outcome is told first
        else:
            self._mention(subject)

    def _mention(self, subject: Subject) -> None:
        """Say that a verdict came again, which is no outcome of its own."""
        metrics.OUTCOMES.labels("duplicate").inc()
        self._voice.publish(encode_json(subject.report("duplicate")))

    def _report(self, report: Actuation) -> None:
        """Write an outcome down, or keep it in mind until that can be done; then say it."""
        metrics.OUTCOMES.labels(report.outcome).inc()
        self._latest.append(report.verdict_id)
        try:
            self._write_down(report)
        except OutboxFault as fault:
            log.warning("the report on board %s is not written down yet: %s", report.board_id, fault)
            NOT_KEPT.labels("actuation").inc()
            self._in_mind[report.verdict_id] = report
            if len(self._in_mind) > _IN_MIND:
                self._in_mind.popitem(last=False)
        self._voice.publish(encode_json(report))

    def _write_down(self, report: Actuation) -> None:
        payload, kept = encode_json(report), False
        try:
            if not self._outbox.knows(report.verdict_id):
                self._outbox.keep(report.verdict_id, payload)
            kept = True
        finally:
            self._ledger.finish(report.verdict_id, payload, kept=kept)

    def _recover(self) -> None:
        """Once: what was firing when an earlier process ended has an unknown outcome, unless that was written down."""
        if self._recovered:
            return
        caught: list[str] = []
        for key, payload in self._ledger.firing().items():
            if self._outbox.knows(key):
                self._ledger.finish(key, self._outbox.inherited(key) or payload)
            elif key not in self._under_way and key not in self._in_mind:
                report = decode_json(Actuation, payload)
                self._report(report)
                caught += [key] if report.outcome == "unknown" else []
        self._recovered = True
        if caught:
            message = "a crash came while these were firing: nobody knows whether their gates moved"
            self._voice.tell("error", message, count=len(caught), verdict_ids=caught[:_NAMED_IN_EVENT])
