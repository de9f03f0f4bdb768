"""Mode `presence`: which edge announces the boards, and which announcements of two edges are one board. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from inference_subscriber.board import BoardKey
from pcb_bus.contract.identity import SAME_BOARD_NS
from pcb_bus.contract.messages import NodeStatus, Trigger

_OVERLOOKED = 2  # boards in a row: one may be no board


class Leader:
    """Keeps an edge that is there and sees; else the next of the sides leads. When the first is back, nothing changes.

    One with a photo-eye leads as long as it is there, for it announces boards anyhow.

    Args:
        sides: the line's, in the order in which their edges lead.

    Attributes:
        name: the edge that leads; None: none was appointed yet.
    """

    def __init__(self, sides: Iterable[str]) -> None:
        self.name: str | None = None
        self._order = [f"edge-{side}" for side in sides]
        self._heard: dict[str, NodeStatus] = {}

    def hear(self, status: NodeStatus) -> None:
        """How an edge is now."""
        self._heard[status.node] = status

    def choose(self) -> str | None:
        """Who leads from now on."""
        able = [node for node in self._order if self._is_able(node)]
        sensors = [node for node in able if self._has_sensor(node)]
        if self.name is None:
            followed = [self._heard[node].leader for node in able]  # inference was away, and they went on
            self.name = next((each for each in (*sensors, *followed, *able) if each in able), None)
        elif self.why_not(self.name) and able:
            saw_more = [node for node in able if self._overlooked(node)]
            place = self._order.index(self.name) + 1
            next_ones = [node for node in (*self._order[place:], *self._order[:place]) if node in able]
            self.name = (sensors or saw_more or next_ones)[0]
        return self.name

    def why_not(self, name: str) -> str:
        """Why this edge, which leads, should not; empty: it may."""
        status = self._heard.get(name)
        if status is None or status.state == "offline":
            return "it is offline"
        if self._has_sensor(name):
            return ""
        if status.trigger != "presence":
            return f"its mode is {status.trigger}"
        if status.sees is False:
            return f"it does not see: {status.detail}"
        others = [node for node in self._order if node != name and self._is_able(node)]
        if sensors := [node for node in others if self._has_sensor(node)]:
            return f"{sensors[0]} has a photo-eye"
        overlooked = [node for node in others if self._overlooked(node)]
        return f"{overlooked[0]} sees boards that it does not announce: is its camera covered?" if overlooked else ""

    def _is_able(self, node: str) -> bool:
        status = self._heard.get(node)
        if status is None or status.state == "offline":
            return False
        return self._has_sensor(node) or (status.trigger == "presence" and status.sees is not False)

    def _has_sensor(self, node: str) -> bool:
        """It announces what its photo-eye sees, whoever leads."""
        return self._heard[node].trigger == "gpio"

    def _overlooked(self, node: str) -> bool:
        return (self._heard[node].overlooked or 0) >= _OVERLOOKED


class Announced:
    """Folds two announcements of one board into one: while the lead changes, two edges may announce it.

    Triggers of two edges so close in time that no two boards lie there are one: each of an edge goes with at most one
    of another. Those of photo-eyes and PLCs are what they are.

    Args:
        nodes: the names of the edges.
        remembered: so many boards; an edge that was cut off for long still announces what it saw then.
    """

    def __init__(self, nodes: Iterable[str], remembered: int = 20_000) -> None:
        self._nodes = frozenset(nodes)
        self._remembered = remembered
        self._first: OrderedDict[BoardKey, BoardKey] = OrderedDict()
        self._around: OrderedDict[int, list[_Board]] = OrderedDict()  # by their time in windows

    def key_of(self, key: BoardKey) -> BoardKey:
        """Under which key that board is known."""
        return self._first.get(key, key)

    def add(self, trigger: Trigger) -> BoardKey:
        """The key of the board that a trigger announces: its own, or that of the edge that was first."""
        own = BoardKey.of(trigger.board_id, trigger.triggered_at)
        if trigger.source in self._nodes and own not in self._first:
            board = self._nearest(trigger)
            if board is None:
                board = _Board(own, trigger.triggered_at, set())
                self._around.setdefault(_window(board.at), []).append(board)
            board.sources.add(trigger.source)
            self._first[own] = board.key
            for memory in (self._first, self._around):
                if len(memory) > self._remembered:
                    memory.popitem(last=False)
        return self.key_of(own)

    def _nearest(self, trigger: Trigger) -> "_Board | None":
        """Of the boards that another edge announced, and this one did not, the nearest in time."""
        at = trigger.triggered_at
        around = [board for each in (-1, 0, 1) for board in self._around.get(_window(at) + each, ())]
        near = [each for each in around if abs(each.at - at) <= SAME_BOARD_NS and trigger.source not in each.sources]
        return min(near, key=lambda each: abs(each.at - at), default=None)


@dataclass(frozen=True, slots=True)
class _Board:
    key: BoardKey
    at: int
    sources: set[str]


def _window(at: int) -> int:
    return at // SAME_BOARD_NS
