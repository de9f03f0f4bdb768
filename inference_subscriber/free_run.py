"""Free run: which frames without a board id show a board that goes by. Pure: frames and `now` (monotonic ns) in.

Each side's frames go through `Presence`. One side leads: a pass on it makes a board, and each other side gives the
frame that it took nearest to that. Where the leader is silent or blind at a pass that another side saw, that side leads
from then on; so it does at the second pass in a row that the leader did not see, and then both are boards.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Final

from inference_subscriber.engines.base import Image
from pcb_bus.contract.identity import SAME_BOARD_NS, free_run_board_id
from pcb_bus.contract.messages import Frame
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.seeing.health import Flaw, partly_in_view
from pcb_bus.seeing.presence import Pass, Presence, PresenceOptions

log = logging.getLogger(__name__)

#: How long frames are kept for a pass that is told late, and for the other sides' passes.
KEPT_NS: Final = 3 * NS_PER_S
#: Of each side.
KEPT_BYTES: Final = 64 * 2**20
#: Flaws of pictures in which a board may be seen all the same, or just an empty belt.
SHOWS_A_BELT: Final = frozenset({"covered", "blurred", "torn", "partial"})
_STEP_BACK_NS = NS_PER_S
# Frames of one board are as far apart as those of an edge from its trigger: 1.5 frame periods, so that one may be lost.
# Half of the second that makes a picture a board by itself is the most.
_PERIODS, _MOST_APART_NS = 1.5, NS_PER_S // 2
_MISSED_NS = 60 * NS_PER_S


@dataclass(slots=True, eq=False)
class Kept:
    """A frame as it came at `received_at` (ns since the epoch), and what a glance found wrong with its picture."""

    frame: Frame
    received_at: int
    flaw: Flaw | None = None
    chosen: bool = False

    @property
    def blind(self) -> bool:
        return self.flaw is not None and self.flaw.kind not in SHOWS_A_BELT


@dataclass(frozen=True, slots=True)
class _Seen:
    """A pass on one side, when it was told, and why its frame does not show all of the board."""

    side: str
    kept: Kept
    since: int
    quality: str | None

    @property
    def at(self) -> int:
        return self.kept.frame.captured_at


@dataclass(slots=True)
class _Board:
    """A board to which some sides have not given their frame yet."""

    board_id: str
    at: int
    since: int
    missing: list[str]


class FreeRun:
    """Gives the frames that are to be inspected, with the board id and the `triggered_at` of their board.

    Args:
        sides: those of the line; the first that sends frames leads.
        options: of the presence on each side.
        pass_over: called with each frame that shows no board, once it is forgotten.
    """

    def __init__(
        self,
        sides: Sequence[str],
        options: Mapping[str, PresenceOptions] | None = None,
        pass_over: Callable[[Frame], None] = lambda frame: None,
    ) -> None:
        self._sides = {side: _Side((options or {}).get(side), pass_over) for side in sides}
        self._leader: str | None = None
        self._missed: dict[str, list[_Seen]] = {}
        self._seen: list[_Seen] = []
        self._boards: list[_Board] = []
        self._latest: _Seen | None = None

    def is_new(self, frame: Frame) -> bool:
        """Whether it was taken after the last one of its side, or the clock of its camera was set back."""
        last = self._sides[frame.side].last
        return last is None or frame.captured_at > last or frame.captured_at < last - _STEP_BACK_NS

    def see(self, kept: Kept, picture: Image, now: int) -> list[Kept]:
        """A frame that `is_new`, with its picture in any size."""
        name = kept.frame.side
        self._note(name, self._sides[name].see(kept, picture, now), now)
        return list(self._decided(now))

    def due(self, now: int) -> list[Kept]:
        """What is due although no frame came: call it every few hundredths of a second."""
        for name, side in self._sides.items():
            self._note(name, side.due(now), now)
        return list(self._decided(now))

    # Inside

    def _note(self, side: str, passes: list[tuple[Kept, Pass]], now: int) -> None:
        # Nothing stands out in a covered one: that is an empty belt, of which single pictures come.
        real = [(kept, each) for kept, each in passes if kept.flaw is None or kept.flaw.kind != "covered"]
        self._seen += [
            _Seen(side, kept, now, None if each.whole else str(partly_in_view(each.coverage))) for kept, each in real
        ]

    def _decided(self, now: int) -> Iterator[Kept]:
        seen, self._seen = self._seen, []
        for each in seen:
            if (made := self._made_of(each, now)) is None:
                self._seen.append(each)
            else:
                yield from (self._open(board, now) for board in made)
        for board in self._boards:
            yield from self._from_others(board, now)
        self._boards = [board for board in self._boards if board.missing]

    def _made_of(self, seen: _Seen, now: int) -> list[_Seen] | None:
        """The passes that are boards, now that this one was seen; None: not to be told yet."""
        leader = self._leader or next(name for name, side in self._sides.items() if side.last is not None)
        made = [seen]
        if seen.side != leader:
            certain, nearest = self._sides[leader].nearest(seen.at, seen.since, now)
            if not certain:
                return None
            missed = [each for each in self._missed.get(seen.side, ()) if now - each.since < _MISSED_NS]
            if nearest is not None and not nearest.blind and (not missed or self._is_made(seen)):
                self._missed[seen.side] = [] if self._is_made(seen) else [seen]
                return []
            log.info("%s leads now: a board went by that %s did not see", seen.side, leader)
            made = [*missed, seen]
        self._leader = seen.side
        self._missed.clear()
        made = [each for each in made if not self._is_made(each)]
        self._latest = made[-1] if made else self._latest
        return made

    def _is_made(self, seen: _Seen) -> bool:
        """Whether the latest board, which another side saw, is this one."""
        latest = self._latest
        return latest is not None and latest.side != seen.side and abs(seen.at - latest.at) <= SAME_BOARD_NS

    def _open(self, seen: _Seen, now: int) -> Kept:
        others = [side for side in self._sides if side != seen.side]
        board = _Board(free_run_board_id(seen.kept.frame.frame_id), seen.at, now, others)
        self._boards.append(board)
        return _given(seen.kept, board, seen.quality)

    def _from_others(self, board: _Board, now: int) -> Iterator[Kept]:
        for side in list(board.missing):
            certain, nearest = self._sides[side].nearest(board.at, board.since, now)
            if certain:
                board.missing.remove(side)
                if nearest is not None:
                    yield _given(nearest, board)


@dataclass(slots=True)
class _Side:
    """The frames of one side. `last`: when the newest was captured."""

    options: PresenceOptions | None
    pass_over: Callable[[Frame], None]
    last: int | None = None
    _came_at: int = 0
    _kept: dict[int, Kept] = field(default_factory=dict)
    _bytes: int = 0
    _presence: Presence = field(init=False)

    def __post_init__(self) -> None:
        self._presence = Presence(self.options)

    def see(self, kept: Kept, picture: Image, now: int) -> list[tuple[Kept, Pass]]:
        captured_at = kept.frame.captured_at
        if self.last is not None and captured_at < self.last:
            self._forget(list(self._kept))
            self._presence = Presence(self.options)
        self.last, self._came_at = captured_at, now
        self._kept[captured_at] = kept
        self._bytes += len(kept.frame.jpeg)
        found = None if kept.blind else self._presence.see(picture, captured_at)
        passes = ([] if found is None else [(self._kept[found.captured_at_ns], found)]) + self.due(now)
        self._make_room()
        return passes

    def due(self, now: int) -> list[tuple[Kept, Pass]]:
        if self.last is None:
            return []
        by_its_clock = self.last + now - self._came_at
        found = iter(lambda: self._presence.due(by_its_clock), None)
        return [(self._kept[each.captured_at_ns], each) for each in found]

    def nearest(self, at: int, since: int, now: int) -> tuple[bool, Kept | None]:
        """Whether it is certain which frame was taken nearest to `at`; and that one, if it is near enough.

        It is once a later one came, or none did for as long as a frame may be away, counted from `since`.
        """
        if self.last is None:
            return True, None
        apart = self._most_apart()
        if self.last < at and now - since < apart:
            return False, None
        nearest = min(self._kept, key=lambda captured_at: abs(captured_at - at))
        return True, self._kept[nearest] if abs(nearest - at) <= apart else None

    def _most_apart(self) -> float:
        times = sorted(self._kept)
        periods = [after - before for before, after in pairwise(times)]
        return min(_PERIODS * median(periods), _MOST_APART_NS) if periods else _MOST_APART_NS

    def _make_room(self) -> None:
        """The newest stays, and so does what a pass may still name."""
        newest, wanted = max(self._kept), self._presence.may_name
        for at in [each for each in self._kept if each != newest and each not in wanted]:
            if newest - at <= KEPT_NS and self._bytes <= KEPT_BYTES:
                break
            self._forget([at])

    def _forget(self, captured_at: list[int]) -> None:
        for kept in map(self._kept.pop, captured_at):
            self._bytes -= len(kept.frame.jpeg)
            if not kept.chosen:
                self.pass_over(kept.frame)


def _given(kept: Kept, board: _Board, quality: str | None = None) -> Kept:
    """The frame, as one of this board."""
    kept.chosen = True
    named = {"board_id": board.board_id, "triggered_at": board.at} | ({"quality": quality} if quality else {})
    return Kept(kept.frame.model_copy(update=named), kept.received_at, kept.flaw)
