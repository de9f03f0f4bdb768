"""One pass of one board through the station, while it is under way."""

from collections.abc import Callable
from dataclasses import dataclass, field

from inference_subscriber.engines.base import Findings
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.seeing.health import Flaw

Receipt = Callable[[], None]
"""Acknowledges a trigger to the broker."""


@dataclass(frozen=True, slots=True)
class BoardKey:
    """What names a pass. A trigger in JSON carries whole milliseconds, so that is what counts of its time."""

    board_id: str
    triggered_ms: int | None

    @staticmethod
    def of(board_id: str, triggered_at: int | None) -> "BoardKey":
        return BoardKey(board_id, None if triggered_at is None else triggered_at // NS_PER_MS)

    def may_be(self, other: "BoardKey") -> bool:
        """Whether both may name the same pass: a frame may come from a camera that does not know the trigger's time."""
        same_time = self.triggered_ms == other.triggered_ms or None in {self.triggered_ms, other.triggered_ms}
        return self.board_id == other.board_id and same_time


@dataclass(frozen=True, slots=True)
class Inspected:
    """What the engine found on one frame, and how long it took (ms). With a `flaw` the engine was not asked."""

    findings: Findings
    inference_ms: float
    flaw: Flaw | None = None


@dataclass(slots=True, eq=False)
class Sighting:
    """A frame that was let in. `inspected` is None while it is under way. `seen_at`: monotonic ns."""

    frame: Frame
    seen_at: int
    inspected: Inspected | None = None


@dataclass(slots=True, eq=False)
class Board:
    """Sides as they come in. Times ending in `_at` are monotonic ns, but for `triggered_at` (ns since the epoch)."""

    key: BoardKey
    opened_at: int
    ask_at: int | None
    give_up_at: int
    triggered_at: int | None = None
    sightings: dict[str, Sighting] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    receipts: list[Receipt] = field(default_factory=list)
    product: str | None = None
    """As its trigger says."""
    running: str | None = None
    """The line's as the board was opened."""

    @property
    def under_way(self) -> bool:
        """A frame of it is still with the engine."""
        return any(sighting.inspected is None for sighting in self.sightings.values())

    @property
    def first_seen_at(self) -> int | None:
        return min((sighting.seen_at for sighting in self.sightings.values()), default=None)

    def missing(self, sides: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(side for side in sides if side not in self.sightings)
