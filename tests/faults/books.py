"""Is every board accounted for, once? Pure: what passed, and what is on record, go in; what is wrong comes out."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, ns_to_ms

NO_VERDICT = "missing"
_OF_REJECTED = ("rejected", "duplicate")
_TOLERANCE_NS = 2 * NS_PER_MS  # times on record are cut to whole milliseconds
_SAME_NS = 300 * NS_PER_MS  # a pulse and its report are this near to each other, on a machine however busy
_EARLY_NS, _LATE_NS = 10 * NS_PER_MS, 50 * NS_PER_MS  # of a pulse downstream: `max_lag_ms`, and the trigger's own way


@dataclass(frozen=True, slots=True)
class Pass:
    """One board that went by; `verdict_id` is the only one that its verdict may have."""

    board_id: str
    verdict_id: str
    triggered_at: int


@dataclass(frozen=True, slots=True)
class InspectionRow:
    verdict_id: str
    board_id: str
    status: str
    category: str


@dataclass(frozen=True, slots=True)
class ReportRow:
    """`fired_at`: ns since the epoch, None unless it fired."""

    verdict_id: str
    outcome: str
    pin: int | None
    fired_at: int | None


@dataclass(frozen=True, slots=True)
class Pulse:
    """A pin was made high: `at` by the true clock, `own` by that of the process which did it (both ns)."""

    pin: int
    at: int
    own: int

    def __str__(self) -> str:
        return f"pin {self.pin} went high at {datetime.fromtimestamp(self.at / NS_PER_S, UTC):%H:%M:%S.%f}"


@dataclass(frozen=True, slots=True)
class TestPulse:
    """A `test_pulse` was asked for: until it is answered, or given up (ns), its pin may go high, once."""

    __test__ = False  # no test, whatever pytest thinks of the name

    pin: int
    asked_at: int
    answered_at: int


@dataclass(frozen=True, slots=True)
class Silence:
    """From `since` until `until` (ns) no gate may fire, but for a test pulse."""

    since: int
    until: int
    why: str


@dataclass(frozen=True, slots=True)
class Slowness:
    """From `since` until `until` (ns) a message took up to `by` (ns) longer on its way."""

    since: int
    until: int
    by: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is on record.

    Args:
        triggers: number of rows of each verdict id.
        pulses: each time that a pin was made high, as the relays saw it.
        deadlines: until when (ns) a gate might act on a verdict, where that was heard.
        delays: how long (ns) after its trigger a board reaches the gate of a pin downstream.
        offsets: by how much (ns) wall clocks were ahead, some time or other.
        carried_out: commands that were, although they had failed, in so far as no pulse tells of it.
        foreign: ids of verdicts and boards that a fault made up.
    """

    triggers: Mapping[str, int] = field(default_factory=dict)
    inspections: tuple[InspectionRow, ...] = ()
    reports: tuple[ReportRow, ...] = ()
    pulses: tuple[Pulse, ...] = ()
    deadlines: Mapping[str, int] = field(default_factory=dict)
    delays: Mapping[int, int] = field(default_factory=dict)
    offsets: tuple[int, ...] = (0,)
    slowness: tuple[Slowness, ...] = ()
    silences: tuple[Silence, ...] = ()
    tests: tuple[TestPulse, ...] = ()
    carried_out: tuple[str, ...] = ()
    foreign: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Audit:
    """What is wrong, one line a board or pulse.

    Args:
        commands: those that were carried out although they were refused, expired or never answered.
        spoiled: rows that are not what was sent, wrong statistics, pictures that are gone.
        unjudged: boards on record without a judgement, which is no fault.
        fired: boards for which a pin went high.
        downstream_ms: how far from its time each pulse of a gate downstream began.
    """

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    spoiled: tuple[str, ...] = ()
    unjudged: int = 0
    fired: int = 0
    downstream_ms: tuple[float, ...] = ()

    @property
    def balanced(self) -> bool:
        return not (self.lost or self.doubled or self.late or self.commands or self.spoiled)


def audit(passes: Iterable[Pass], evidence: Evidence) -> Audit:
    """The books of these boards."""
    view = _View(evidence)
    accounts = [_Account(each, view) for each in passes]
    return Audit(
        lost=tuple(line for each in accounts for line in each.lost()),
        doubled=tuple(line for each in accounts for line in each.doubled()),
        late=tuple(line for each in accounts for line in each.late()),
        unjudged=sum(each.unjudged for each in accounts),
        fired=sum(each.fired for each in accounts),
        downstream_ms=tuple(ns_to_ms(by) for each in accounts for by in each.downstream()),
    )


def strangers(known: Iterable[Pass], evidence: Evidence) -> tuple[str, ...]:
    """What is on record, or was fired, for no board that passed.

    That a malformed verdict was rejected is reported under the id that it bears, as it should be.
    """
    ours = {each.verdict_id for each in known} | evidence.foreign
    kinds = {
        "trigger": evidence.triggers.keys(),
        "inspection": {row.verdict_id for row in evidence.inspections if row.board_id not in evidence.foreign},
        "report": {row.verdict_id for row in evidence.reports if row.outcome not in _OF_REJECTED},
    }
    named = [f"{kind} {key}: no board asked for it" for kind, keys in kinds.items() for key in sorted(keys - ours)]
    return (*named, *(f"{pulse}, and no report says so" for pulse in unexplained(evidence)))


def unexplained(evidence: Evidence) -> tuple[Pulse, ...]:
    """Pulses of which no report speaks, that no test was, and that broke no silence."""
    silent = {pulse for pulse, _ in _broken_silences(evidence)}
    return tuple(pulse for pulse in _Explanation(evidence).left if pulse not in silent)


def commands_carried_out(evidence: Evidence) -> tuple[str, ...]:
    """Among them each pulse within a silence: somebody must have obeyed a command that was as good as refused."""
    pulses = (f"{pulse}, although {silence.why}" for pulse, silence in _broken_silences(evidence))
    return (*evidence.carried_out, *pulses)


def _broken_silences(evidence: Evidence) -> list[tuple[Pulse, Silence]]:
    tests = _Explanation(evidence).tests
    return [
        (pulse, silence)
        for silence in evidence.silences
        for pulse in evidence.pulses
        if silence.since < pulse.at < silence.until and pulse not in tests
    ]


class _Explanation:
    """Which pulse each report of a gate that fired speaks of, which were tests, and what is left."""

    def __init__(self, evidence: Evidence) -> None:
        self.left = sorted(evidence.pulses, key=lambda pulse: pulse.at)
        self._offsets = evidence.offsets
        self.tests = {pulse for test in evidence.tests for pulse in self._take(partial(_is, test))}
        self.of_verdict: dict[str, list[Pulse]] = {}
        for row in evidence.reports:
            if row.outcome == "fired" and row.fired_at is not None:
                self.of_verdict.setdefault(row.verdict_id, []).extend(self._take_fired(row.pin, row.fired_at))
        for row in evidence.reports:
            if row.outcome == "unknown":  # a crash came in the middle: perhaps the pin went high
                self._take(partial(_is_of, row.pin))

    def _take(self, fits: Callable[[Pulse], bool]) -> list[Pulse]:
        """The first that fits, or none."""
        found = [pulse for pulse in self.left if fits(pulse)][:1]
        for pulse in found:
            self.left.remove(pulse)
        return found

    def _take_fired(self, pin: int | None, fired_at: int) -> list[Pulse]:
        """The one nearest to that time: by the true clock, that of its process, or that of inference as it was off."""

        def apart(pulse: Pulse) -> tuple[bool, int]:
            plain = min(abs(pulse.own - fired_at), abs(pulse.at - fired_at))
            if plain <= _SAME_NS:
                return False, plain
            return True, min(abs(pulse.at + offset - fired_at) for offset in self._offsets)

        near = [pulse for offset in self._offsets for pulse in self._around(fired_at - offset) if pulse.pin == pin]
        best = min(near, key=apart, default=None)
        return self._take(lambda pulse: pulse is best)

    def _around(self, at: int) -> list[Pulse]:
        since = bisect_left(self.left, at - _SAME_NS, key=lambda pulse: pulse.at)
        until = bisect_left(self.left, at + _SAME_NS, key=lambda pulse: pulse.at)
        return self.left[since:until]


def _is(test: TestPulse, pulse: Pulse) -> bool:
    return pulse.pin == test.pin and test.asked_at <= pulse.at <= test.answered_at


def _is_of(pin: int | None, pulse: Pulse) -> bool:
    return pin in {None, pulse.pin}


class _View:
    """The evidence, by board and by verdict."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.pulses = _Explanation(evidence).of_verdict
        self.inspections: dict[str, list[InspectionRow]] = {}
        self.reports: dict[str, list[ReportRow]] = {}
        for row in evidence.inspections:
            self.inspections.setdefault(row.board_id, []).append(row)
        for report in evidence.reports:
            if report.outcome != "duplicate":
                self.reports.setdefault(report.verdict_id, []).append(report)


class _Account:
    """One board in the books."""

    def __init__(self, board: Pass, view: _View) -> None:
        key = board.verdict_id
        self._board = board
        self._evidence = view.evidence
        self._triggers = view.evidence.triggers.get(key, 0)
        self._pulses = view.pulses.get(key, [])
        self._rows = view.inspections.get(board.board_id, [])
        self._reports = view.reports.get(key, [])

    @property
    def unjudged(self) -> bool:
        return any(row.category == "unjudged" for row in self._rows)

    @property
    def fired(self) -> bool:
        return bool(self._pulses)

    @property
    def _judged(self) -> bool:
        return any(row.status != NO_VERDICT for row in self._rows)

    def lost(self) -> list[str]:
        lines = []
        if not self._triggers:
            lines.append("no trigger on record")
        if not any(row.verdict_id == self._board.verdict_id for row in self._rows):
            lines.append("no inspection on record")
        if self._judged and not self._reports:
            lines.append("a verdict, but no report of the gates")
        if any(row.outcome == "fired" for row in self._reports) and not self._pulses:
            lines.append("reported as fired, but no pin went high")
        return self._named(lines)

    def doubled(self) -> list[str]:
        counts = Counter(
            {
                "triggers": self._triggers,
                "inspections": len(self._rows),
                "reports": len(self._reports),
                "pulses": len(self._pulses),
            }
        )
        return self._named(f"{count} {kind}" for kind, count in counts.items() if count > 1)

    def late(self) -> list[str]:
        deadline = self._evidence.deadlines.get(self._board.verdict_id)
        at_once = [pulse.at for pulse in self._pulses if pulse.pin not in self._evidence.delays]
        lines = []
        if deadline is not None:
            over = [at - self._true(deadline) for at in at_once]
            lines += [f"fired {ns_to_ms(by):.0f} ms after its deadline" for by in over if by > _TOLERANCE_NS]
        for by in self.downstream():
            if not -_EARLY_NS <= by <= _LATE_NS + self._slowness:
                lines.append(f"downstream it fired {ns_to_ms(by):+.0f} ms from its time")
        return self._named(lines)

    def downstream(self) -> list[int]:
        """How far (ns) from its time each pulse of a gate downstream began."""
        delays, begun = self._evidence.delays, self._board.triggered_at
        return [pulse.at - begun - delays[pulse.pin] for pulse in self._pulses if pulse.pin in delays]

    @property
    def _slowness(self) -> int:
        """By how much more its trigger may have been late on its way, at most."""
        at, held = self._board.triggered_at, self._evidence.slowness
        return max((each.by for each in held if each.since - each.by <= at <= each.until + each.by), default=0)

    def _true(self, moment: int) -> int:
        """`moment` by the true clock: the one that brings it nearest to its trigger."""
        offsets = self._evidence.offsets
        return min((moment - each for each in offsets), key=lambda at: abs(at - self._board.triggered_at))

    def _named(self, complaints: Iterable[str]) -> list[str]:
        """One line a board, or none."""
        text = "; ".join(complaints)
        return [f"{self._board.board_id}: {text}"] if text else []
