"""One board of a run: its verdict, its gate report, its record, and what should have been found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pcb_bus.contract.messages import Category, GpioSignal, Outcome, Verdict
from pcb_bus.contract.times import ns_to_ms
from simulator.schedule import Fault


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the books keep of a verdict.

    Args:
        found: its boxes, the surest first, as class and confidence.
        by_side: the category of each side that was seen.
    """

    verdict_id: str
    category: Category
    heard_at: int
    latency_ms: float | None
    overhead_ms: float | None
    found: tuple[str, ...]
    gate: GpioSignal | None
    by_side: Mapping[str, Category]


def judgement_of(verdict: Verdict, heard_at: int) -> Judgement:
    """A verdict as it was heard at `heard_at` (ns). A board that was not seen whole does not count for the times.

    Latency runs from the capture of the earliest frame until the verdict was heard. Overhead runs from the moment
    both sides were captured and triggered, and leaves the inference out.
    """
    boxes = [box for side in verdict.sides.values() if side for box in side.boxes]
    whole = verdict.status == "ok"
    timing = verdict.timing if whole else None
    return Judgement(
        verdict.verdict_id,
        verdict.category,
        heard_at,
        ns_to_ms(heard_at - verdict.captured_at) if whole else None,
        ns_to_ms(heard_at - timing.ready_at) - timing.inference_ms if timing else None,
        tuple(f"{box.class_name} {box.confidence:.2f}" for box in sorted(boxes, key=lambda each: -each.confidence)),
        verdict.gpio_signal,
        {name: side.category for name, side in verdict.sides.items() if side},
    )


@dataclass(slots=True)
class BoardAccount:
    """What is known of one board. `truth` is None where nobody knows it (real images); `drawn` is what is wrong."""

    board_id: str
    truth: Category | None
    drawn: Sequence[Fault] = ()
    judgements: list[Judgement] = field(default_factory=list)
    reports: list[Outcome] = field(default_factory=list)
    recorded: bool = False
    rows: int | None = None
    names: set[str] = field(default_factory=set)
    """The ids that its verdicts have for it: edges that see a board themselves name it."""

    @property
    def judgement(self) -> Judgement | None:
        """The first verdict that was heard."""
        return self.judgements[0] if self.judgements else None

    @property
    def outcome(self) -> Outcome | None:
        """What the actuator did with it the first time."""
        return self.reports[0] if self.reports else None

    @property
    def stored(self) -> bool:
        """Whether its record exists: by the database once that was read, by the recorder's word until then."""
        return self.recorded if self.rows is None else self.rows > 0

    @property
    def complete(self) -> bool:
        return bool(self.judgements) and bool(self.reports) and self.stored

    @property
    def error(self) -> Literal["escape", "false call"] | None:
        """How its verdict is wrong, if it is."""
        if self.truth is None or self.judgement is None:
            return None
        if is_escape(self.truth, self.judgement.category):
            return "escape"
        return "false call" if is_false_call(self.truth, self.judgement.category) else None

    @property
    def oddities(self) -> Sequence[bool]:
        """For each of its oddities whether that side was called, by a box or by the anomaly score."""
        by_side = self.judgement.by_side if self.judgement else {}
        return [by_side.get(fault.side, "unjudged") not in {"normal", "unjudged"} for fault in self.drawn if fault.odd]

    @property
    def doubles(self) -> int:
        """Verdicts, gate pulses and records beyond the first of each."""
        pulses = self.reports.count("fired")
        return max(0, len(self.judgements) - 1) + max(0, pulses - 1) + max(0, (self.rows or 0) - 1)


def is_escape(truth: Category, found: Category) -> bool:
    return truth != "normal" and found == "normal"


def is_false_call(truth: Category, found: Category) -> bool:
    return truth == "normal" and found not in {"normal", "unjudged"}
