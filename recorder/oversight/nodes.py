"""Which nodes are away, and for how long. Pure: `now` is monotonic ns.

A node is away when it said so, when the broker said so (its will), or when its heartbeat is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pcb_bus.contract.messages import Level, NodeStatus
from pcb_bus.contract.times import NS_PER_S

STOPPED = "stopped"  # the detail of a node that ends on purpose
_MOST_NODES = 256


@dataclass(frozen=True, slots=True)
class Absence:
    """A node that has been away for longer than the grace."""

    node: str
    level: Level
    message: str
    reason: str


@dataclass(slots=True)
class _Seen:
    heard_at: int
    offline_since: int | None
    detail: str


class NodeWatch:
    """Follows the statuses of a line.

    Args:
        grace_s: a node may be offline for so long before it is absent.
        silence_s: a node that was not heard for so long is offline.
    """

    def __init__(self, grace_s: float, silence_s: float) -> None:
        self._grace_ns = round(grace_s * NS_PER_S)
        self._silence_ns = round(silence_s * NS_PER_S)
        self._nodes: dict[str, _Seen] = {}

    def see(self, node: str, status: NodeStatus | None, now: int) -> None:
        """A status came; None: the retained one was removed, and the node does not belong to the line any more."""
        if status is None:
            self._nodes.pop(node, None)
        elif node in self._nodes or len(self._nodes) < _MOST_NODES:
            before = self._nodes.get(node)
            since = None
            if status.state == "offline":
                since = now if before is None or before.offline_since is None else before.offline_since
            self._nodes[node] = _Seen(now, since, status.detail)

    def deaf_until(self, now: int) -> None:
        """The recorder itself heard nothing up to now, which says nothing about the nodes."""
        for seen in self._nodes.values():
            seen.heard_at = now

    def is_online(self, node: str) -> bool:
        seen = self._nodes.get(node)
        return seen is not None and seen.offline_since is None

    def present(self, now: int) -> list[str]:
        """Nodes that are there."""
        return [node for node, seen in self._nodes.items() if self._away_for(seen, now) is None]

    def absent(self, now: int) -> Iterator[Absence]:
        """Nodes that have been away for longer than the grace."""
        for node, seen in self._nodes.items():
            away = self._away_for(seen, now)
            if away is not None and away >= self._grace(seen):
                yield _absence(node, seen)

    def known(self) -> list[str]:
        return list(self._nodes)

    def _away_for(self, seen: _Seen, now: int) -> int | None:
        if seen.offline_since is not None:
            return now - seen.offline_since
        silent = now - seen.heard_at
        return silent if silent >= self._silence_ns else None

    def _grace(self, seen: _Seen) -> int:
        return 0 if seen.offline_since is None else self._grace_ns  # silence has been waited for already


def _absence(node: str, seen: _Seen) -> Absence:
    if seen.offline_since is None:
        return Absence(node, "warning", f"{node} is not heard any more", "no heartbeat")
    if seen.detail == STOPPED:
        return Absence(node, "info", f"{node} was stopped", STOPPED)
    return Absence(node, "warning", f"{node} is offline", seen.detail)
