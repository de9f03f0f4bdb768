"""The books of a run: every board that was triggered, and what became of it. Pure; knows neither MQTT nor clocks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pcb_bus.clock import ns_to_ms
from pcb_bus.messages import Actuation, Category, GpioSignal, Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the books keep of a verdict. `found`: its boxes, the surest first, as class and confidence."""

    verdict_id: str
    category: Category
    heard_at: int
    latency_ms: float | None
    overhead_ms: float | None
    found: tuple[str, ...]
    gate: GpioSignal | None


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
    )


@dataclass(slots=True)
class BoardAccount:
    """What is known of one board. `truth` is None where nobody knows it (real images)."""

    board_id: str
    truth: Category | None
    judgements: list[Judgement] = field(default_factory=list)
    reports: list[Outcome] = field(default_factory=list)
    recorded: bool = False
    rows: int | None = None

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
    def doubles(self) -> int:
        """Verdicts, gate pulses and records beyond the first of each."""
        pulses = self.reports.count("fired")
        return max(0, len(self.judgements) - 1) + max(0, pulses - 1) + max(0, (self.rows or 0) - 1)


@dataclass(slots=True)
class Tally:
    """Counts that are kept up to date, so that a display need not go through all boards."""

    boards: int = 0
    accounted: int = 0
    escapes: int = 0
    false_calls: int = 0


class Books:
    """All boards of a run, in the order of their triggers. Only a trigger opens an account."""

    def __init__(self) -> None:
        self._accounts: dict[str, BoardAccount] = {}
        self._order: list[BoardAccount] = []
        self._open: dict[str, BoardAccount] = {}
        self._unheard_records: set[str] = set()
        self._by_verdict: dict[str, BoardAccount] = {}
        self.tally = Tally()
        self.strangers = 0

    def __len__(self) -> int:
        return len(self._order)

    @property
    def accounts(self) -> Sequence[BoardAccount]:
        return tuple(self._order)

    @property
    def complete(self) -> bool:
        return not self._open

    def since(self, index: int) -> Sequence[BoardAccount]:
        """The accounts from number `index` on; a negative one counts from the end."""
        return tuple(self._order[index:])

    def triggered(self, board_id: str, truth: Category | None) -> None:
        account = BoardAccount(board_id, truth)
        self._accounts[board_id] = self._open[board_id] = account
        self._order.append(account)
        self.tally.boards += 1

    def judged(self, verdict: Verdict, heard_at: int) -> None:
        """A verdict was heard at `heard_at` (ns); the same one again changes nothing."""
        account = self._accounts.get(verdict.board_id)
        if account is None:
            self.strangers += 1
        elif verdict.verdict_id not in self._by_verdict:
            self._by_verdict[verdict.verdict_id] = account
            account.judgements.append(judgement_of(verdict, heard_at))
            account.recorded |= verdict.verdict_id in self._unheard_records
            self._unheard_records.discard(verdict.verdict_id)
            self._count(account)
            self._close_if_complete(account)

    def reported(self, actuation: Actuation) -> None:
        account = self._accounts.get(actuation.board_id)
        if account is not None:
            account.reports.append(actuation.outcome)
            self._close_if_complete(account)

    def recorded(self, verdict_ids: Iterable[str]) -> None:
        """The recorder's word may be heard before the verdict itself."""
        for verdict_id in verdict_ids:
            account = self._by_verdict.get(verdict_id)
            if account is None:
                self._unheard_records.add(verdict_id)
            else:
                account.recorded = True
                self._close_if_complete(account)

    def counted_rows(self, rows: Mapping[str, int]) -> None:
        """How many records the database holds of each board id."""
        for account in self._order:
            account.rows = rows.get(account.board_id, 0)
        self._open = {account.board_id: account for account in self._order if not account.complete}

    def _close_if_complete(self, account: BoardAccount) -> None:
        if account.complete and account.board_id in self._open:
            del self._open[account.board_id]
            self.tally.accounted += 1

    def _count(self, account: BoardAccount) -> None:
        if account.truth is not None and len(account.judgements) == 1:
            category = account.judgements[0].category
            self.tally.escapes += is_escape(account.truth, category)
            self.tally.false_calls += is_false_call(account.truth, category)

    @property
    def first_verdict_at(self) -> int | None:
        """When the first verdict of the run was heard, ns."""
        return min((each.heard_at for account in self._order for each in account.judgements), default=None)

    def summary(self) -> dict[str, object]:
        """What `var/demo/summary.json` holds. Escapes and false calls are None where no truth is known."""
        accounts = self._order
        judgements = [account.judgement for account in accounts if account.judgement is not None]
        truth_known = any(account.truth is not None for account in accounts)
        return {
            "boards": len(accounts),
            "verdicts": len(judgements),
            "actuations": sum(1 for account in accounts if account.reports),
            "records": sum(1 for account in accounts if account.stored),
            "unaccounted": sum(1 for account in accounts if not account.complete),
            "duplicates": sum(account.doubles for account in accounts),
            "by_category": dict(sorted(Counter(each.category for each in judgements).items())),
            "by_outcome": dict(sorted(Counter(account.outcome for account in accounts if account.outcome).items())),
            "escapes": self.tally.escapes if truth_known else None,
            "false_calls": self.tally.false_calls if truth_known else None,
            "latency_ms": _percentiles(each.latency_ms for each in judgements),
            "overhead_ms": _percentiles(each.overhead_ms for each in judgements),
        }


def is_escape(truth: Category, found: Category) -> bool:
    return truth != "normal" and found == "normal"


def is_false_call(truth: Category, found: Category) -> bool:
    return truth == "normal" and found not in {"normal", "unjudged"}


def _percentiles(values: Iterable[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    p50, p95, p99 = np.percentile(known, (50, 95, 99))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "p99": round(float(p99), 1)}
