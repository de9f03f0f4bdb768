"""What the line shows now: pure, from messages and the moment. Times are ns since the epoch; one thread owns a feed."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dashboard.settings import Shift
from pcb_bus.contract.messages import Category, NodeStatus, Verdict
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, from_datetime, to_datetime
from records.times import local_time

LAST = 10
_SILENT_NS = 45 * NS_PER_S  # nodes say every 15 s how they are
_LIVE_NS = 120 * NS_PER_S  # younger boards may not be judged yet: they are counted as they are heard
_MOST_LIVE = 20_000
_MOST_NODES = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """A board with its verdict, as the page shows it."""

    verdict_id: str
    board_id: str
    serial: str | None
    product: str | None
    category: Category
    captured_at: int
    classes: tuple[str, ...] = ()
    sides: Mapping[str, Category | None] | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "id": self.verdict_id,
            "board": self.board_id,
            "serial": self.serial,
            "product": self.product,
            "category": self.category,
            "at": self.captured_at // NS_PER_MS,
            "classes": self.classes,
            "sides": self.sides,
        }


@dataclass(frozen=True, slots=True)
class Heard:
    """A node, its state as the pages name it, and what it last said of itself."""

    node: str
    state: str
    status: NodeStatus | None


@dataclass(frozen=True, slots=True)
class Turn:
    """A shift under way: its first and its last moment (ns), and the boards that it is to make."""

    begins_at: int
    ends_at: int
    target: int | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database knows: boards by category, from the shift's begin to before `until`; and the last ones."""

    turn: Turn
    until: int
    boards: Mapping[str, int]
    last: Sequence[Seen]


def turn_at(shifts: Sequence[Shift], now: int, zone: ZoneInfo) -> Turn:
    """The shift that works then; `shifts` in order of their begins. The one before midnight may go on after it."""
    wall = local_time(to_datetime(now), zone)
    begins = [
        (datetime.combine(wall.date() + timedelta(days=day), each.begins), each)
        for day in (-1, 0, 1)
        for each in shifts
    ]
    place = max(index for index, (begin, _) in enumerate(begins) if begin <= wall)
    (begin, shift), (end, _) = begins[place], begins[place + 1]
    return Turn(_moment(begin, zone), _moment(end, zone), shift.target)


def seen(verdict: Verdict) -> Seen:
    """Of a verdict."""
    sides = {name: None if side is None else side.category for name, side in verdict.sides.items()}
    found = [box.class_name for side in verdict.sides.values() if side is not None for box in side.boxes]
    return Seen(
        verdict.verdict_id,
        verdict.board_id,
        verdict.serial,
        verdict.product,
        verdict.category,
        verdict.captured_at,
        tuple(dict.fromkeys(found)),
        sides,
    )


class Feed:
    """The state of one line.

    Args:
        nodes: that the line should have, in the order in which they are shown.
    """

    def __init__(self, nodes: Sequence[str], shifts: Sequence[Shift], zone: ZoneInfo) -> None:
        self._expected = nodes
        self._shifts = shifts
        self._zone = zone
        self._boards: deque[Seen] = deque(maxlen=LAST)  # newest first
        self._live: dict[str, tuple[int, Category]] = {}  # by verdict: when it was taken
        self._unrecorded: dict[str, int] = {}
        self._recorded: Recorded | None = None
        self._nodes: dict[str, tuple[NodeStatus, int]] = {}
        self._news_at: int | None = None
        self._connected_since: int | None = None

    def connected(self, now: int) -> None:
        """What was said before, nobody has heard here: it is for the database to tell."""
        self._connected_since = now

    def news(self, now: int) -> None:
        """Something of the line was heard."""
        self._news_at = now

    def verdict(self, verdict: Verdict, now: int) -> bool:
        """Whether it is news: the same one may come again."""
        self.news(now)
        if verdict.verdict_id in self._live:
            return False
        self._remember(verdict)
        if all(each.verdict_id != verdict.verdict_id for each in self._boards):
            self._show([seen(verdict), *self._boards])
        return True

    def committed(self, verdict_ids: Iterable[str]) -> None:
        """The database has them."""
        for each in verdict_ids:
            self._unrecorded.pop(each, None)

    def status(self, status: NodeStatus, now: int) -> None:
        """Of a node; those of strangers too, up to a bound."""
        self.news(now)
        if status.node in self._nodes or len(self._nodes) < _MOST_NODES:
            self._nodes[status.node] = status, now

    def counted_until(self, now: int) -> int:
        """Up to which moment the database is asked: what is younger, or not recorded, is counted as it was heard."""
        heard = max(now - _LIVE_NS, min(self._connected_since or now, now))
        return min((heard, *self._unrecorded.values()))

    def take(self, recorded: Recorded) -> None:
        """What the database knows, read for `counted_until`."""
        self._recorded = recorded
        self._live = {each: seen for each, seen in self._live.items() if seen[0] >= recorded.until}
        known = {each.verdict_id for each in self._boards}
        self._show([*self._boards, *(each for each in recorded.last if each.verdict_id not in known)])

    def turn(self, now: int) -> Turn:
        return turn_at(self._shifts, now, self._zone)

    def state(self, now: int, *, broker: bool, database: str) -> dict[str, Any]:
        """All of it, for JSON; times in ms. `database`: what is wrong with it."""
        boards = [each.shown() for each in self._boards]
        return {
            "broker": broker,
            "database": database,
            "news": None if self._news_at is None else self._news_at // NS_PER_MS,
            "verdict": boards[0] if boards else None,
            "boards": boards,
            "shift": self._shift(now),
            "nodes": self._states(now),
        }

    def _remember(self, verdict: Verdict) -> None:
        if len(self._live) == _MOST_LIVE:
            self._forget(next(iter(self._live)))
        self._live[verdict.verdict_id] = verdict.captured_at, verdict.category
        self._unrecorded[verdict.verdict_id] = verdict.captured_at

    def _forget(self, verdict_id: str) -> None:
        del self._live[verdict_id]
        self._unrecorded.pop(verdict_id, None)

    def _show(self, boards: Iterable[Seen]) -> None:
        self._boards = deque(sorted(boards, key=lambda each: -each.captured_at)[:LAST], LAST)

    def _shift(self, now: int) -> dict[str, Any]:
        turn = self.turn(now)
        known = (
            self._recorded if self._recorded is not None and self._recorded.turn.begins_at == turn.begins_at else None
        )
        counts: dict[str, int] = dict(known.boards) if known else {}
        since = max(turn.begins_at, known.until if known else 0)
        for captured_at, category in self._live.values():
            if captured_at >= since:
                counts[category] = counts.get(category, 0) + 1
        boards = sum(counts.values())
        share = (now - turn.begins_at) / (turn.ends_at - turn.begins_at)
        return {
            "begins": turn.begins_at // NS_PER_MS,
            "ends": turn.ends_at // NS_PER_MS,
            "target": turn.target,
            "due": None if turn.target is None else round(turn.target * share),
            "boards": boards,
            "counts": counts,
            "yield": counts.get("normal", 0) / boards if boards else None,
        }

    def heard(self, now: int) -> list[Heard]:
        """Every node, those that are expected first. Any thread."""
        nodes = dict(self._nodes)
        names = [*self._expected, *sorted(nodes.keys() - set(self._expected))]
        return [_heard(name, nodes.get(name), now) for name in names]

    def _states(self, now: int) -> list[dict[str, Any]]:
        return [
            {"node": each.node, "state": each.state, "detail": each.status.detail if each.status else ""}
            for each in self.heard(now)
        ]


def _heard(name: str, said: tuple[NodeStatus, int] | None, now: int) -> Heard:
    if said is None:
        return Heard(name, "unheard", None)
    status, heard_at = said
    silent = status.state != "offline" and now - heard_at > _SILENT_NS
    return Heard(name, "silent" if silent else status.state, status)


def _moment(wall: datetime, zone: ZoneInfo) -> int:
    return from_datetime(wall.replace(tzinfo=zone))
