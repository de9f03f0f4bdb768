"""Triggers that wait, and which picture shows their board. Pure: times are ns since the epoch, `now` is an argument."""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pcb_bus.contract.times import NS_PER_MS

Offer = Literal["taken", "repeated", "overflow"]
MAX_WAITING = 64
_REMEMBERED = 512
_AGREE, _AGREE_NS = 3, 20 * NS_PER_MS
_ON_ITS_WAY_NS = (-20 * NS_PER_MS, 250 * NS_PER_MS)
_SENDERS = 64

BoardPass = tuple[str, int]
"""`board_id` and `triggered_at` (ns): one pass of one board."""

REACH = 1.5
"""Frame periods: so far from its trigger a picture may be, and so long a trigger waits for one that may be nearer."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The picture at this place in the sequence."""

    index: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The next picture may be nearer; decide at the next one, at the latest at `until`."""

    until: int


@dataclass(frozen=True, slots=True)
class Missed:
    """No picture is near enough; the nearest was `distance` ns away, None if there were none."""

    distance: int | None


Pick = Chosen | Wait | Missed


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

    def known(self, source: str) -> int:
        """How far its clock was behind so far."""
        return self._off.get(source, 0)

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
        return self.known(source)


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


def pick(triggered_at: int, asked_at: int, captured: Sequence[int], now: int, configured: int) -> Pick:
    """Choose among pictures captured at `captured` (ascending) for a trigger that arrived at `asked_at`.

    The nearest in time wins. A trigger that is ahead of the newest picture waits while the next one is expected to
    be nearer, for at most `REACH` periods from its arrival, or from its own time if that lies ahead.

    Args:
        configured: ns between pictures as configured.
    """
    period = frame_period(captured, configured)
    if _next_may_be_nearer(triggered_at, captured, period):
        reach = round(REACH * period)
        until = asked_at + min(max(triggered_at - asked_at, 0), reach) + reach
        if now < until:
            return Wait(until)
    return nearest(triggered_at, captured, configured)


def nearest(triggered_at: int, captured: Sequence[int], configured: int) -> Chosen | Missed:
    """The picture nearest in time, if it lies within `REACH` periods: one further away may show another board."""
    if not captured:
        return Missed(None)
    index = min(range(len(captured)), key=lambda each: abs(captured[each] - triggered_at))
    distance = abs(captured[index] - triggered_at)
    return Chosen(index) if distance <= REACH * frame_period(captured, configured) else Missed(distance)


def frame_period(captured: Sequence[int], configured: int) -> int:
    """The usual time between pictures, ns: cameras do not always keep to what was asked of them.

    Three in four gaps are no longer, so that pictures that come in pairs do not shorten it. It is never more than twice
    what is configured: a camera that pauses must not reach as far as the next board.
    """
    gaps = sorted(later - earlier for earlier, later in pairwise(captured))
    return min(gaps[len(gaps) * 3 // 4], 2 * configured) if len(gaps) >= 2 else configured


def likely_cause(triggered_at: int, asked_at: int, captured: Sequence[int], configured: int) -> str:
    """Why no picture was near enough, for people."""
    if not captured:
        return "the camera gives no pictures"
    delay_s, reach = (asked_at - triggered_at) / 1e9, REACH * frame_period(captured, configured)
    if delay_s * 1e9 < -reach:
        return f"the trigger's clock is {-delay_s:.1f} s ahead of this machine's: set up NTP on both (docs/clocks.md)"
    if triggered_at < captured[0] - reach:
        return (
            f"the trigger came {delay_s:.1f} s after its time: "
            "the clocks of its machine and this one differ (set up NTP on both), or the network held it up"
        )
    fps = 1e9 / configured
    return f"the camera paused, or is slower than edge.fps ({fps:g}): give it more light, or lower edge.fps"


def _next_may_be_nearer(triggered_at: int, captured: Sequence[int], period: int) -> bool:
    if not captured:
        return True
    behind = triggered_at - captured[-1]
    return behind > 0 and period - behind < behind
