"""The triggers that are waiting for their picture. Pure: times are ns since the epoch, `now` is an argument."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_publisher.picker import Chosen, Missed, Wait, nearest, pick
from pcb_bus.contract.times import NS_PER_MS

Offer = Literal["taken", "repeated", "overflow"]
MAX_WAITING = 64
_REMEMBERED = 512
_AGREE, _AGREE_NS = 3, 20 * NS_PER_MS
_ON_ITS_WAY_NS = (-20 * NS_PER_MS, 250 * NS_PER_MS)
_SENDERS = 64

BoardPass = tuple[str, int]
"""`board_id` and `triggered_at` (ns): one pass of one board."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A trigger, and when it came. `shift`: what this machine's clock is ahead of the one that said `triggered_at`."""

    board_id: str
    triggered_at: int
    asked_at: int
    shift: int = 0

    @property
    def at(self) -> int:
        """When the board was there, by the clock of the pictures."""
        return self.triggered_at + self.shift

    @property
    def board_pass(self) -> BoardPass:
        return self.board_id, self.triggered_at


class Senders:
    """Whose clock is not the line's. A network delays each message by something else, a wrong clock all by the same."""

    def __init__(self) -> None:
        self._lags: OrderedDict[str, deque[int]] = OrderedDict()
        self._off: dict[str, int] = {}

    def off(self, source: str, lag: int) -> int:
        """How far the clock of this sender is behind, ns; 0 as long as it may be right, or nobody knows.

        Args:
            lag: how much later than it says its trigger came, without the age that it had when it was sent.
        """
        lags = self._lags.setdefault(source, deque(maxlen=_AGREE))
        lags.append(lag)
        least, most = min(lags), max(lags)
        if len(lags) == _AGREE and most - least <= _AGREE_NS:
            right = _ON_ITS_WAY_NS[0] <= least <= _ON_ITS_WAY_NS[1]
            self._off[source] = 0 if right else least
        if len(self._lags) > _SENDERS:
            forgotten, _ = self._lags.popitem(last=False)
            self._off.pop(forgotten, None)
        return self._off.get(source, 0)


class Triggers:
    """Takes each trigger once, and says which picture is its own as soon as that is certain.

    Args:
        period: ns between pictures as configured.
    """

    def __init__(self, period: int) -> None:
        self.period = period
        self._waiting: list[Waiting] = []
        self._known: OrderedDict[BoardPass, int] = OrderedDict()  # with the shift of its clock

    def offer(self, trigger: Waiting) -> Offer:
        """Take a trigger, unless it was there before or too many wait."""
        if trigger.board_pass in self._known:
            return "repeated"
        if len(self._waiting) >= MAX_WAITING:
            return "overflow"
        self._remember(trigger.board_pass, trigger.shift)
        self._waiting.append(trigger)
        return "taken"

    def decide(self, captured: Sequence[int], now: int) -> list[tuple[Waiting, Chosen | Missed]]:
        """Triggers whose picture (an index into `captured`) is certain, or that have none; they wait no longer."""
        waiting, self._waiting, decided = self._waiting, [], []
        for trigger in waiting:
            decision = pick(trigger.at, trigger.asked_at, captured, now, self.period)
            if isinstance(decision, Wait):
                self._waiting.append(trigger)
            else:
                decided.append((trigger, decision))
        return decided

    def decide_now(self, board_pass: BoardPass, captured: Sequence[int], shift: int = 0) -> Chosen | Missed:
        """The same for one that was never offered, or had no picture; should its trigger still come, it is a repeat."""
        shift = self._known.get(board_pass, shift)
        self._remember(board_pass, shift)
        self._waiting = [each for each in self._waiting if each.board_pass != board_pass]
        return nearest(board_pass[1] + shift, captured, self.period)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _remember(self, board_pass: BoardPass, shift: int = 0) -> None:
        self._known[board_pass] = shift
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
