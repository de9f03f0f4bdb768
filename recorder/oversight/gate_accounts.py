"""Which verdicts have no report of the gates, and when they are named to the actuator. Pure: `now` is monotonic ns."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pcb_bus.contract.times import NS_PER_S

_TRIES = 6  # over about ten minutes, if the first wait is 10 s; then it is for the reconciliation to list
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Missing:
    """A recorded pass without a report; not `judged` as long as its verdict is not there either."""

    verdict_id: str
    board_id: str
    category: str
    judged: bool


@dataclass(slots=True)
class _Account:
    next_at: int
    tries: int = 0


class GateAccounts:
    """Verdicts that wait for a report, each named at growing intervals, and not for ever.

    Args:
        first_wait_s: from when a verdict is noted, whatever the wall clock says of it: a clock that was set forward
            must not make an actuator account for what is just on its way to the gates.
    """

    def __init__(self, first_wait_s: float) -> None:
        self._first_wait_ns = round(first_wait_s * NS_PER_S)
        self._waiting: dict[str, _Account] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> int:
        """How many more are taken."""
        return _MOST - len(self._waiting)

    def note(self, verdict_ids: Iterable[str], now: int) -> None:
        """These have no report yet."""
        for verdict_id in verdict_ids:
            if self.room:
                self._waiting.setdefault(verdict_id, _Account(now + self._first_wait_ns))

    def due(self, now: int, limit: int) -> list[str]:
        """Those to look at now, longest due first."""
        ready = sorted((each.next_at, verdict_id) for verdict_id, each in self._waiting.items() if each.next_at <= now)
        return [verdict_id for _, verdict_id in ready[:limit]]

    def settle(self, looked_at: Iterable[str], found: Collection[Missing], now: int) -> list[Missing]:
        """Takes what the database says of those looked at; returns those to name.

        What is not in `found` has its report. A pass without a verdict is looked at again, but not named.
        """
        missing = {each.verdict_id for each in found}
        for verdict_id in looked_at:
            if verdict_id in missing:
                self._wait_longer(verdict_id, now)
            else:
                self._waiting.pop(verdict_id, None)
        return [each for each in found if each.judged]

    def _wait_longer(self, verdict_id: str, now: int) -> None:
        account = self._waiting[verdict_id]
        account.next_at = now + (self._first_wait_ns << account.tries)
        account.tries += 1
        if account.tries > _TRIES:
            del self._waiting[verdict_id]
