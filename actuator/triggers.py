"""When each board stood before the cameras, by this Pi's own clock. Pure: `now` is monotonic ns.

A gate downstream counts from that moment, so that the clock of no other machine can move a pulse.
"""

from collections import OrderedDict, deque

from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.times import NS_PER_MS, ms_to_ns

_BOARDS = 2000
_SLEW = 2000  # a clock that NTP slews runs up to 1/2000 too fast or slow
_HELD_UP_NS = 120 * NS_PER_MS  # NTP sets no clock by so little: ntpd steps from 128 ms on
_WINDOW = 32
_AGREE = 3  # so many boards in a row that are as late as each other: the way is longer now, or a clock was set


class BoardMoments:
    """Remembers the last boards.

    A trigger says by its sender's monotonic clock how old it is (`age_ms`). How long one was held up on its way shows
    beside the others of its sender. If that is too long, its moment is not used: perhaps a clock was set.

    Args:
        root: of the line's topics.
        tolerance_ns: how much the way of triggers may vary.
    """

    def __init__(self, root: str, tolerance_ns: int) -> None:
        self._root = root
        self._tolerance_ns = tolerance_ns
        self._moments: OrderedDict[str, int] = OrderedDict()
        self._ways: dict[str, deque[tuple[int, int, str]]] = {}

    def of(self, verdict: str) -> int | None:
        """When the board of this verdict id was triggered; None: nobody knows."""
        return self._moments.get(verdict)

    def note(self, trigger: Trigger, now: int) -> bool:
        """A trigger came at `now`; whether its moment is known. The first word on a board stands."""
        age = ms_to_ns(trigger.age_ms or 0)
        board = verdict_id(self._root, trigger.board_id, trigger.triggered_at)
        late = self._lateness(trigger.source, board, now - (trigger.triggered_at + age), now)
        if late > _HELD_UP_NS:
            return False
        self._moments.setdefault(board, now - age - late)
        if len(self._moments) > _BOARDS:
            self._moments.popitem(last=False)
        return True

    def _lateness(self, source: str, board: str, way: int, now: int) -> int:
        """How much longer it took than the quickest. `way`: our clock less the sender's, with the time on its way."""
        ways = self._ways.setdefault(source, deque(maxlen=_WINDOW))
        ways.append((now, way, board))
        latest = list({each: (now, way, each) for _, way, each in reversed(ways)}.values())[_AGREE - 1 :: -1]
        sorted_ways = sorted(each for _, each, _ in latest)
        if len(latest) == _AGREE and sorted_ways[-1] - sorted_ways[0] <= self._tolerance_ns:
            ways.clear()
            ways.extend(latest)
        if len(self._ways) > _WINDOW:
            self._ways.pop(next(iter(self._ways)))
        return way - min(each + (now - at) // _SLEW for at, each, _ in ways)
