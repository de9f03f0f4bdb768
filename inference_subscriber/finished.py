"""A bounded memory of the boards that were just judged."""

from collections import OrderedDict

from inference_subscriber.board import BoardKey
from pcb_bus.contract.times import NS_PER_S

_KEPT_NS = 60 * NS_PER_S


class Finished:
    """Remembers no more than `capacity` keys. Times: monotonic ns.

    With the time of its trigger a key names one pass for ever: after a long outage of the broker its trigger may come
    again. Without, the next board may well have the same name, and a minute must do.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._keys: OrderedDict[BoardKey, int] = OrderedDict()
        self._latest: dict[str, BoardKey] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: BoardKey, now: int) -> None:
        self._keys[key] = now
        self._latest[key.board_id] = key
        while len(self._keys) > self._capacity:
            old, _ = self._keys.popitem(last=False)
            if self._latest.get(old.board_id) == old:
                del self._latest[old.board_id]

    def find(self, key: BoardKey, now: int) -> BoardKey | None:
        """The finished board that `key` names, or may name."""
        if key.triggered_ms is not None and key in self._keys:
            return key
        fresh = (known for known in (key, self._latest.get(key.board_id)) if known and self._is_fresh(known, now))
        return next((known for known in fresh if known.may_be(key)), None)

    def _is_fresh(self, key: BoardKey, now: int) -> bool:
        finished_at = self._keys.get(key)
        return finished_at is not None and now - finished_at <= _KEPT_NS
