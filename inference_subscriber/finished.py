"""A bounded memory of the boards that were just judged."""

from collections import OrderedDict

from inference_subscriber.board import BoardKey
from pcb_bus.clock import NS_PER_S

_KEPT_NS = 60 * NS_PER_S


class Finished:
    """Remembers keys for a minute, and no more than `capacity` of them. Times: monotonic ns."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._keys: OrderedDict[BoardKey, int] = OrderedDict()
        self._latest: dict[str, BoardKey] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: BoardKey, now: int) -> None:
        self._keys[key] = now
        self._latest[key.board_id] = key
        while len(self._keys) > self._capacity or now - next(iter(self._keys.values())) > _KEPT_NS:
            old, _ = self._keys.popitem(last=False)
            if self._latest.get(old.board_id) == old:
                del self._latest[old.board_id]

    def find(self, key: BoardKey) -> BoardKey | None:
        """The finished board that `key` names, or may name."""
        if key in self._keys:
            return key
        latest = self._latest.get(key.board_id)
        return latest if latest is not None and latest.may_be(key) else None
