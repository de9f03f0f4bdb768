"""The books of a run: every board that was triggered, and what became of it. Pure; knows neither MQTT nor clocks."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pcb_bus.clock import ns_to_ms
from pcb_bus.messages import Actuation, Category, Outcome, Verdict


@dataclass(slots=True)
class BoardAccount:
    """What is known of one board. `truth` is None where nobody knows it (real images)."""

    board_id: str
    truth: Category | None
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    heard_at: dict[str, int] = field(default_factory=dict)
    reports: list[Outcome] = field(default_factory=list)
    recorded: bool = False
    rows: int | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The first verdict that was heard."""
        return next(iter(self.verdicts.values()), None)

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
        return bool(self.verdicts) and bool(self.reports) and self.stored

    @property
    def doubles(self) -> int:
        """Verdicts, gate pulses and records beyond the first of each."""
        pulses = self.reports.count("fired")
        return max(0, len(self.verdicts) - 1) + max(0, pulses - 1) + max(0, (self.rows or 0) - 1)

    @property
    def latency_ms(self) -> float | None:
        """From the capture of its earliest frame until the verdict was heard."""
        verdict = self.verdict
        if verdict is None or verdict.status != "ok":
            return None
        return ns_to_ms(self.heard_at[verdict.verdict_id] - verdict.captured_at)

    @property
    def overhead_ms(self) -> float | None:
        """From the moment both sides were captured and triggered until the verdict was heard, less the inference."""
        verdict = self.verdict
        if verdict is None or verdict.timing is None or verdict.status != "ok":
            return None
        total = ns_to_ms(self.heard_at[verdict.verdict_id] - verdict.timing.ready_at)
        return total - verdict.timing.inference_ms


class Books:
    """All boards of a run, in the order of their triggers. Only a trigger opens an account."""

    def __init__(self) -> None:
        self._accounts: dict[str, BoardAccount] = {}
        self._by_verdict: dict[str, BoardAccount] = {}
        self.strangers = 0

    def __len__(self) -> int:
        return len(self._accounts)

    @property
    def accounts(self) -> Sequence[BoardAccount]:
        return tuple(self._accounts.values())

    @property
    def complete(self) -> bool:
        return all(account.complete for account in self._accounts.values())

    def triggered(self, board_id: str, truth: Category | None) -> None:
        self._accounts[board_id] = BoardAccount(board_id, truth)

    def judged(self, verdict: Verdict, heard_at: int) -> None:
        """A verdict was heard at `heard_at` (ns); the same one again changes nothing."""
        account = self._accounts.get(verdict.board_id)
        if account is None:
            self.strangers += 1
            return
        account.verdicts.setdefault(verdict.verdict_id, verdict)
        account.heard_at.setdefault(verdict.verdict_id, heard_at)
        self._by_verdict[verdict.verdict_id] = account

    def reported(self, actuation: Actuation) -> None:
        account = self._accounts.get(actuation.board_id)
        if account is not None:
            account.reports.append(actuation.outcome)

    def recorded(self, verdict_ids: Iterable[str]) -> None:
        for verdict_id in verdict_ids:
            if verdict_id in self._by_verdict:
                self._by_verdict[verdict_id].recorded = True

    def counted_rows(self, rows: Mapping[str, int]) -> None:
        """How many records the database holds of each board id."""
        for account in self._accounts.values():
            account.rows = rows.get(account.board_id, 0)

    @property
    def first_verdict_at(self) -> int | None:
        """When the first verdict of the run was heard, ns."""
        return min((at for account in self._accounts.values() for at in account.heard_at.values()), default=None)

    def summary(self) -> dict[str, object]:
        """What `var/demo/summary.json` holds. Escapes and false calls are None where no truth is known."""
        accounts = self.accounts
        judged = [account for account in accounts if account.verdict is not None]
        categories = Counter(account.verdict.category for account in judged if account.verdict)
        return {
            "boards": len(accounts),
            "verdicts": len(judged),
            "actuations": sum(1 for account in accounts if account.reports),
            "records": sum(1 for account in accounts if account.stored),
            "unaccounted": sum(1 for account in accounts if not account.complete),
            "duplicates": sum(account.doubles for account in accounts),
            "by_category": dict(sorted(categories.items())),
            "by_outcome": dict(sorted(Counter(account.outcome for account in accounts if account.outcome).items())),
            "escapes": _count(accounts, is_escape),
            "false_calls": _count(accounts, is_false_call),
            "latency_ms": _percentiles(account.latency_ms for account in accounts),
            "overhead_ms": _percentiles(account.overhead_ms for account in accounts),
        }


def is_escape(truth: Category, found: Category) -> bool:
    return truth != "normal" and found == "normal"


def is_false_call(truth: Category, found: Category) -> bool:
    return truth == "normal" and found not in {"normal", "unjudged"}


def _count(accounts: Sequence[BoardAccount], rule: Callable[[Category, Category], bool]) -> int | None:
    known = [(each.truth, each.verdict.category) for each in accounts if each.truth and each.verdict]
    return sum(1 for truth, found in known if rule(truth, found)) if known else None


def _percentiles(values: Iterable[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    p50, p95, p99 = np.percentile(known, (50, 95, 99))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "p99": round(float(p99), 1)}
