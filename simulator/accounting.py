"""The books of a run: every board that passed, and what became of it. Pure; knows neither MQTT nor clocks."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pcb_bus.contract.messages import Actuation, Category, Outcome, Verdict
from simulator.accounts import BoardAccount, judgement_of
from simulator.schedule import Fault
from simulator.scoring import against_truth


@dataclass(slots=True)
class Tally:
    """Counts that are kept up to date, so that a display need not go through all boards."""

    boards: int = 0
    accounted: int = 0
    escapes: int = 0
    false_calls: int = 0


class Books:
    """All boards of a run, in the order in which they came. Only a board that comes opens an account.

    Args:
        board_of: the id of the board that a verdict is on; None: as the verdict names it.
        all_count: whether a verdict on a board that nobody expected opens an account as well.
    """

    def __init__(self, board_of: Callable[[Verdict], str] | None = None, *, all_count: bool = False) -> None:
        self._board_of = board_of or (lambda verdict: verdict.board_id)
        self._all_count = all_count
        self._accounts: dict[str, BoardAccount] = {}
        self._order: list[BoardAccount] = []
        self._open: dict[str, BoardAccount] = {}
        self._unheard_records: set[str] = set()
        self._unheard_reports: dict[str, list[Outcome]] = {}
        self._by_verdict: dict[str, BoardAccount] = {}
        self._strangers: set[str] = set()
        self.tally = Tally()

    def __len__(self) -> int:
        return len(self._order)

    @property
    def accounts(self) -> Sequence[BoardAccount]:
        return tuple(self._order)

    @property
    def complete(self) -> bool:
        return not self._open

    @property
    def strangers(self) -> int:
        """Boards with a verdict or a record that never came."""
        return len(self._strangers)

    @property
    def in_order(self) -> bool:
        """Boards came, each has exactly one of everything, and there is nothing that no board explains."""
        whole = all(account.complete and not account.doubles for account in self._order)
        return bool(self._order) and whole and not self._strangers

    def since(self, index: int) -> Sequence[BoardAccount]:
        """The accounts from number `index` on; a negative one counts from the end."""
        return tuple(self._order[index:])

    def triggered(self, board_id: str, truth: Category | None, drawn: Sequence[Fault] = ()) -> None:
        account = BoardAccount(board_id, truth, drawn)
        self._accounts[board_id] = self._open[board_id] = account
        self._order.append(account)
        self.tally.boards += 1

    def judged(self, verdict: Verdict, heard_at: int) -> None:
        """A verdict was heard at `heard_at` (ns); the same one again changes nothing."""
        board_id = self._board_of(verdict)
        if self._all_count and board_id not in self._accounts:
            self.triggered(board_id, None)
        account = self._accounts.get(board_id)
        if account is None:
            self._strangers.add(verdict.board_id)
        elif verdict.verdict_id not in self._by_verdict:
            self._by_verdict[verdict.verdict_id] = account
            account.names.add(verdict.board_id)
            account.judgements.append(judgement_of(verdict, heard_at))
            account.reports += self._unheard_reports.pop(verdict.verdict_id, [])
            account.recorded |= verdict.verdict_id in self._unheard_records
            self._unheard_records.discard(verdict.verdict_id)
            self._count(account)
            self._close_if_complete(account)

    def reported(self, actuation: Actuation) -> None:
        account = self._by_verdict.get(actuation.verdict_id) or self._accounts.get(actuation.board_id)
        if account is None:
            self._unheard_reports.setdefault(actuation.verdict_id, []).append(actuation.outcome)
        else:
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
        """How many records the database holds of each board id, of this run alone."""
        known: set[str] = set()
        for account in self._order:
            names = account.names or {account.board_id}
            account.rows = sum(rows.get(name, 0) for name in names)
            known |= names
        self._strangers |= rows.keys() - known
        self._open = {account.board_id: account for account in self._order if not account.complete}

    def _close_if_complete(self, account: BoardAccount) -> None:
        if account.complete and account.board_id in self._open:
            del self._open[account.board_id]
            self.tally.accounted += 1

    def _count(self, account: BoardAccount) -> None:
        if len(account.judgements) == 1:
            self.tally.escapes += account.error == "escape"
            self.tally.false_calls += account.error == "false call"

    @property
    def first_verdict_at(self) -> int | None:
        """When the first verdict of the run was heard, ns."""
        return min((each.heard_at for account in self._order for each in account.judgements), default=None)

    def summary(self) -> dict[str, object]:
        """What `var/demo/summary.json` holds. Escapes, false calls and oddities are None where no truth is known."""
        accounts = self._order
        judgements = [account.judgement for account in accounts if account.judgement is not None]
        return {
            "boards": len(accounts),
            "verdicts": len(judgements),
            "actuations": sum(1 for account in accounts if account.reports),
            "records": sum(1 for account in accounts if account.stored),
            "unaccounted": sum(1 for account in accounts if not account.complete),
            "duplicates": sum(account.doubles for account in accounts),
            "of_no_board": self.strangers,
            "by_category": dict(sorted(Counter(each.category for each in judgements).items())),
            "by_outcome": dict(sorted(Counter(account.outcome for account in accounts if account.outcome).items())),
            **against_truth(accounts),
            "latency_ms": _percentiles(each.latency_ms for each in judgements),
            "overhead_ms": _percentiles(each.overhead_ms for each in judgements),
        }


def _percentiles(values: Iterable[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    p50, p95, p99 = np.percentile(known, (50, 95, 99))
    return {"p50": round(float(p50), 1), "p95": round(float(p95), 1), "p99": round(float(p99), 1)}
