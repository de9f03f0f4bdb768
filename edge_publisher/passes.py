"""Which of the boards that an edge sees it announces. Pure: `now` is monotonic ns, other times ns since the epoch."""

from dataclasses import dataclass

from edge_publisher.ring import size_of
from edge_publisher.sources import Picture
from pcb_bus.contract.identity import SAME_BOARD_NS
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.seeing.health import Flaw

_KEPT, _KEPT_BYTES, _KEPT_NS = 16, 32 * 2**20, 300 * NS_PER_S
_ACCOMPANIED_NS = 500 * NS_PER_MS  # so long after a trigger was heard, a board that is seen may be that trigger's


@dataclass(frozen=True, slots=True)
class Seen:
    """The picture of a board that went by; `taken_at`: monotonic ns; `flaw`: why it does not show all of the board."""

    picture: Picture
    taken_at: int
    flaw: Flaw | None = None


class Passes:
    """The edge that leads announces each board. Another keeps those that it has seen and nobody has announced.

    They are its own to announce when it is appointed: the leader before was gone, or blind. There is no telling that a
    camera is covered from its pictures of an empty belt; but then others see boards that it overlooks.

    Args:
        me: this node's name.
        leader: who leads; None: nobody has been appointed yet.

    Attributes:
        overlooked: how many boards in a row nobody has announced.
    """

    def __init__(self, me: str, leader: str | None = None) -> None:
        self._me = me
        self.leader = leader
        self.overlooked = 0
        self._kept: list[Seen] = []
        self._announced_to = 0
        self._heard_at: int | None = None
        self._saw_at = 0

    def saw(self, seen: Seen, now: int) -> list[Seen]:
        """A board went by: what is to be announced now."""
        if self.leader == self._me:
            return [seen]
        if seen.picture.captured_at > self._announced_to:
            self._kept = [each for each in self._kept if now - each.taken_at < _KEPT_NS][1 - _KEPT :]
            self._kept.append(seen)
            while len(self._kept) > 1 and sum(size_of(each.picture) for each in self._kept) > _KEPT_BYTES:
                del self._kept[0]
        if now - self._saw_at > _KEPT_NS:
            self.overlooked = 0
        if self._heard_at is None or now - self._heard_at > _ACCOMPANIED_NS:
            self.overlooked += 1
        self._saw_at = now
        return []

    def heard(self, triggered_at: int, now: int) -> None:
        """The trigger of somebody else came: boards up to its time are announced, or nobody will."""
        self._announced_to, self._heard_at, self.overlooked = triggered_at + SAME_BOARD_NS, now, 0
        self._kept = [each for each in self._kept if each.picture.captured_at > self._announced_to]

    def appoint(self, leader: str, now: int) -> list[Seen]:
        """Inference says who leads: what is to be announced now."""
        if leader == self.leader:
            return []
        self.leader, self.overlooked = leader, 0
        if leader != self._me:
            return []
        kept, self._kept = self._kept, []
        return [each for each in kept if now - each.taken_at < _KEPT_NS]
