"""The triggers that are waiting for their picture. Pure: times are ns since the epoch, `now` is an argument."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edge_publisher.picker import Chosen, Missed, Wait, nearest, pick

Offer = Literal["taken", "repeated", "overflow"]
MAX_WAITING = 64
_REMEMBERED = 512

BoardPass = tuple[str, int]
"""`board_id` and `triggered_at` (ns): one pass of one board."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A trigger, and when it came."""

    board_id: str
    triggered_at: int
    asked_at: int

    @property
    def board_pass(self) -> BoardPass:
        return self.board_id, self.triggered_at


class Triggers:
    """Takes each trigger once, and says which picture is its own as soon as that is certain.

    Args:
        period: ns between pictures as configured.
    """

    def __init__(self, period: int) -> None:
        self.period = period
        self._waiting: list[Waiting] = []
        self._known: OrderedDict[BoardPass, None] = OrderedDict()

    def offer(self, trigger: Waiting) -> Offer:
        """Take a trigger, unless it was there before or too many wait."""
        if trigger.board_pass in self._known:
            return "repeated"
        if len(self._waiting) >= MAX_WAITING:
            return "overflow"
        self._remember(trigger.board_pass)
        self._waiting.append(trigger)
        return "taken"

    def decide(self, captured: Sequence[int], now: int) -> list[tuple[Waiting, Chosen | Missed]]:
        """Triggers whose picture (an index into `captured`) is certain, or that have none; they wait no longer."""
        waiting, self._waiting, decided = self._waiting, [], []
        for trigger in waiting:
            decision = pick(trigger.triggered_at, trigger.asked_at, captured, now, self.period)
            if isinstance(decision, Wait):
                self._waiting.append(trigger)
            else:
                decided.append((trigger, decision))
        return decided

    def decide_now(self, board_pass: tuple[str, int], captured: Sequence[int]) -> Chosen | Missed:
        """The same for one that was never offered, or had no picture; should its trigger still come, it is a repeat."""
        self._remember(board_pass)
        self._waiting = [each for each in self._waiting if each.board_pass != board_pass]
        return nearest(board_pass[1], captured, self.period)

    def answered(self, board_pass: BoardPass) -> None:
        """Its frame has gone out before its trigger came: that will be a repeat."""
        self._remember(board_pass)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def _remember(self, board_pass: BoardPass) -> None:
        self._known[board_pass] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
