"""Is every board accounted for, once? Pure: what passed, and what is on record, go in; what is wrong comes out."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pcb_bus.contract.times import NS_PER_MS, ns_to_ms

NO_VERDICT = "missing"
_OF_REJECTED = ("rejected", "duplicate")
_TOLERANCE_NS = 2 * NS_PER_MS  # times on record are cut to whole milliseconds


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
    fired_at: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is on record.

    Args:
        triggers: number of rows of each verdict id.
        pulses: how often a pin went high for each verdict id, by the driver's own word.
        deadlines: until when (ns) a gate might act on a verdict, where that was heard.
        offsets: by how much (ns) wall clocks were ahead, some time or other.
    """

    triggers: Mapping[str, int] = field(default_factory=dict)
    inspections: tuple[InspectionRow, ...] = ()
    reports: tuple[ReportRow, ...] = ()
    pulses: Mapping[str, int] = field(default_factory=dict)
    deadlines: Mapping[str, int] = field(default_factory=dict)
    offsets: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Audit:
    """What is wrong, one line a board; `unjudged`: boards on record without a judgement, which is no fault."""

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    unjudged: int = 0

    @property
    def balanced(self) -> bool:
        return not (self.lost or self.doubled or self.late)


def audit(passes: Iterable[Pass], evidence: Evidence) -> Audit:
    """The books of these boards."""
    view = _View(evidence)
    accounts = [_Account(each, view) for each in passes]
    return Audit(
        lost=tuple(line for each in accounts for line in each.lost()),
        doubled=tuple(line for each in accounts for line in each.doubled()),
        late=tuple(line for each in accounts for line in each.late()),
        unjudged=sum(1 for each in accounts if each.unjudged),
    )


def strangers(known: Iterable[Pass], evidence: Evidence) -> tuple[str, ...]:
    """What is on record, or was fired, for no board that passed.

    That a malformed verdict was rejected is reported under the id that it bears, as it should be.
    """
    ours = {each.verdict_id for each in known}
    kinds = {
        "trigger": evidence.triggers.keys(),
        "inspection": {row.verdict_id for row in evidence.inspections},
        "report": {row.verdict_id for row in evidence.reports if row.outcome not in _OF_REJECTED},
        "pulse": evidence.pulses.keys(),
    }
    return tuple(f"{kind} {key}: no board asked for it" for kind, keys in kinds.items() for key in sorted(keys - ours))


class _View:
    """The evidence, by board and by verdict."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
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
        self._triggers = view.evidence.triggers.get(key, 0)
        self._pulses = view.evidence.pulses.get(key, 0)
        self._deadline = view.evidence.deadlines.get(key)
        self._offsets = view.evidence.offsets
        self._rows = view.inspections.get(board.board_id, [])
        self._reports = view.reports.get(key, [])

    @property
    def unjudged(self) -> bool:
        return any(row.category == "unjudged" for row in self._rows)

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
        if self._fired and not self._pulses:
            lines.append("reported as fired, but no pin went high")
        return self._named(lines)

    def doubled(self) -> list[str]:
        counts = Counter(
            {
                "triggers": self._triggers,
                "inspections": len(self._rows),
                "reports": len(self._reports),
                "pulses": self._pulses,
            }
        )
        return self._named(f"{count} {kind}" for kind, count in counts.items() if count > 1)

    def late(self) -> list[str]:
        if self._deadline is None:
            return []
        deadline = self._true(self._deadline)
        fired = [self._true(row.fired_at) for row in self._fired if row.fired_at is not None]
        late = [at - deadline for at in fired if at > deadline + _TOLERANCE_NS]
        return self._named(f"fired {ns_to_ms(by):.0f} ms after its deadline" for by in late)

    def _true(self, moment: int) -> int:
        """`moment` by the true clock: the one that brings it nearest to its trigger."""
        return min((moment - each for each in self._offsets), key=lambda at: abs(at - self._board.triggered_at))

    @property
    def _fired(self) -> list[ReportRow]:
        return [row for row in self._reports if row.outcome == "fired"]

    def _named(self, complaints: Iterable[str]) -> list[str]:
        """One line a board, or none."""
        text = "; ".join(complaints)
        return [f"{self._board.board_id}: {text}"] if text else []
