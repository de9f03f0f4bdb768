"""What is open for a person to look at: one alert for each kind and subject, and no flood of them. Pure.

Each check has its own slack between raising and resolving. What flaps all the same is damped here: an alert that comes
back soon after it was resolved is resolved later the next time, twice as late with each return.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pcb_bus.contract.messages import Level
from pcb_bus.contract.times import NS_PER_S

_FIRST_WAIT_NS = 10 * NS_PER_S
_LONGEST_WAIT_NS = 600 * NS_PER_S
_MEMORY_NS = 600 * NS_PER_S  # an alert that stays away for so long has stopped flapping


@dataclass(frozen=True, slots=True)
class Key:
    """What an alert is about: `subject` is a node, a pass of a board, a disk."""

    kind: str
    subject: str


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person has to look at. `at` is when it was raised, ns since the epoch."""

    key: Key
    level: Level
    message: str
    at: int
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert is open from now on."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class Resolved:
    """An alert is over."""

    alert: Alert


Change = Raised | Resolved


class Alarms(Protocol):
    """What the parts of the recorder tell. Safe on any thread; never waits for the database."""

    def raise_alert(self, kind: str, subject: str, level: Level, message: str, **details: Any) -> None:
        """Open an alert; nothing happens if it is open already."""

    def resolve(self, kind: str, subject: str) -> None:
        """It is over; nothing happens if no such alert is open."""


@dataclass(slots=True)
class _History:
    """How an alert has flapped; `over_since` while it is open but its cause is gone. Times are monotonic ns."""

    resolved_at: int
    returns: int = 0
    over_since: int | None = None

    @property
    def wait_ns(self) -> int:
        if not self.returns:
            return 0
        return min(_FIRST_WAIT_NS << min(self.returns - 1, 10), _LONGEST_WAIT_NS)


class AlertBook:
    """The alerts that are open. `now` is monotonic ns.

    Args:
        alerts: those that were open before a restart.
    """

    def __init__(self, alerts: Iterable[Alert] = ()) -> None:
        self._open = {alert.key: alert for alert in alerts}
        self._histories: dict[Key, _History] = {}

    def open(self, kind: str | None = None) -> list[Alert]:
        """What is open, oldest first; of one kind, if it is named."""
        found = [alert for alert in self._open.values() if kind in (None, alert.key.kind)]
        return sorted(found, key=lambda alert: alert.at)

    def is_open(self, key: Key) -> bool:
        return key in self._open

    def adopt(self, alert: Alert) -> None:
        """It was open before this process began."""
        self._open[alert.key] = alert

    def raise_(self, alert: Alert, now: int) -> list[Change]:
        history = self._histories.get(alert.key)
        if history is not None:
            history.over_since = None
        if alert.key in self._open:
            return []
        if history is not None:
            history.returns = history.returns + 1 if now - history.resolved_at < _MEMORY_NS else 0
        self._open[alert.key] = alert
        return [Raised(alert)]

    def resolve(self, key: Key, now: int) -> list[Change]:
        if key not in self._open:
            return []
        history = self._histories.setdefault(key, _History(resolved_at=now))
        if history.over_since is None:
            history.over_since = now
        return self._resolve_if_due(key, history, now)

    def tick(self, now: int) -> list[Change]:
        """Resolves what has been over for long enough, and forgets what has long been quiet."""
        changes: list[Change] = []
        for key, history in list(self._histories.items()):
            changes += self._resolve_if_due(key, history, now)
            if key not in self._open and now - history.resolved_at >= _MEMORY_NS:
                del self._histories[key]
        return changes

    def _resolve_if_due(self, key: Key, history: _History, now: int) -> list[Change]:
        if key not in self._open or history.over_since is None or now - history.over_since < history.wait_ns:
            return []
        history.resolved_at, history.over_since = now, None
        return [Resolved(self._open.pop(key))]
