"""One pass for each board that goes by a camera, without any sensor. Pure: pictures and their times in, passes out.

Boards are told from the belt by their texture (`columns`), and followed as long as they are in view (`trains`), so that
one that stops for an hour stays one, and boards that touch are told apart by the line between them. A pass is given
while its board goes by: once all of it is in view and its picture no longer gets better, 150 ms later at most.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import median
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from pcb_bus.contract.times import NS_PER_S
from pcb_bus.runtime.settings import Section
from pcb_bus.seeing.box import Box, box_of
from pcb_bus.seeing.choice import Candidate, Sight
from pcb_bus.seeing.columns import BANDS, COLUMNS, Belt, Columns, Floats
from pcb_bus.seeing.trains import LEAST_LENGTH, LEAST_PIECE, Board, Train

Image = npt.NDArray[np.uint8]
Direction = Literal["right", "left", "down", "up"]

_ALONE_NS = NS_PER_S
_MACHINE_NS = 5 * NS_PER_S
_STANDS = 0.25  # columns between two pictures
_INSIDE = 1.5  # columns of belt on either side of a board that is whole
_FULL = 0.95  # share of the view that a board as long as the view takes
_OUT_OF_NOWHERE = COLUMNS / 4
_FILLED, _TEXTURED, _STRAIGHT = 0.4, 0.12, 0.75
_REMEMBERED = 8  # boards
_MOST_VOTES = 10


Share = Annotated[float, Field(ge=0, le=1)]


class PresenceOptions(Section):
    """Where and how boards go by: the settings `edge.presence`, and `inference.presence` by side."""

    region: tuple[Share, Share, Share, Share] | None = None
    """Left, top, width and height of the belt in the picture, as shares of its size; none: all of it."""
    direction: Direction | None = None
    """Where to boards go in the picture: right, left, down or up; none: right or left, whichever is seen."""
    sensitivity: Annotated[float, Field(ge=0.05, le=20)] = 1.0
    """More finds boards with less texture, less ignores a belt with more."""
    stills: bool = False
    """Each picture is a board, as in a folder."""
    singles: bool = True
    """A picture with none within a second before and after it is a board."""

    @field_validator("region")
    @classmethod
    def _region_is_inside(cls, region: tuple[float, float, float, float] | None) -> object:
        if region is not None:
            left, top, width, height = region
            if min(width, height) <= 0 or max(left + width, top + height) > 1 + 1e-6:
                raise ValueError("left, top, width and height as shares of the picture, and none of it outside")
        return region


@dataclass(frozen=True, slots=True)
class Pass:
    """One board went by. `captured_at_ns` names its picture, `coverage` the share of it that is seen there.

    Args:
        outline: left, top, right and lower edge of what is seen of it, as shares of the picture; None: not known.
        speed: how fast it went, lengths of the picture along the belt in a second.
    """

    captured_at_ns: int
    coverage: float = 1.0
    outline: tuple[float, float, float, float] | None = field(default=None, compare=False)
    speed: float = field(default=0.0, compare=False)

    @property
    def whole(self) -> bool:
        return self.coverage >= 0.98


class Presence:
    """Passes on one side of the line. Pictures must come in the order in which they were taken."""

    def __init__(self, options: PresenceOptions | None = None) -> None:
        self._options = options or PresenceOptions()
        direction = self._options.direction
        self._upright = direction in {"down", "up"}
        self._belt = Belt(upright=self._upright, sensitivity=self._options.sensitivity)
        self._direction = 0 if direction is None else 1 if direction in {"right", "down"} else -1
        self._votes = 0
        self._trains: list[Train] = []
        self._candidates: list[Candidate] = []
        self._lengths: list[float] = []
        self._widths: list[int] = []
        self._ready: list[Pass] = []
        self._begun_ns: int | None = None
        self._last_ns: int | None = None
        self._alone = False

    def see(self, picture: Image, captured_at_ns: int) -> Pass | None:
        """A picture, uint8, height x width x 3 (BGR). A board that went by, if one is known to have done so by now."""
        if self._options.stills:
            return Pass(captured_at_ns)
        self._note_time(captured_at_ns)
        columns = self._belt.look(self._cut(picture))
        if not columns.blind:
            self._follow(columns, captured_at_ns)
            self._choose(columns, captured_at_ns)
        return self._next(captured_at_ns)

    def due(self, now: int) -> Pass | None:
        """A pass that is due at `now`, ns on the clock of the pictures, although no picture has come."""
        if self._alone and self._last_ns is not None and now - self._last_ns > _ALONE_NS:
            self._alone = False
            self._ready.append(Pass(self._last_ns))
        return self._next(now)

    @property
    def wait_until(self) -> int | None:
        """When to ask `due` if no picture comes before; None: no need."""
        times = [each.due_ns for each in self._candidates if each.due_ns is not None]
        if self._alone and self._last_ns is not None:
            times.append(self._last_ns + _ALONE_NS + 1)
        return min(times, default=None)

    @property
    def may_name(self) -> set[int]:
        """When the pictures were captured that a later pass may still name: keep these."""
        named = {each.best.at_ns for each in self._candidates} | {each.captured_at_ns for each in self._ready}
        return named | {self._last_ns} if self._alone and self._last_ns is not None else named

    def _note_time(self, now: int) -> None:
        """A picture with none within a second before or after it is a board by itself."""
        last = self._last_ns
        far = last is None or now - last > _ALONE_NS
        if far and self._alone and last is not None:
            self._ready.append(Pass(last))
        self._alone, self._last_ns = far and self._options.singles, now
        self._begun_ns = now if self._begun_ns is None else self._begun_ns

    def _cut(self, picture: Image) -> Image:
        if self._options.region is None:
            return picture
        height, width = picture.shape[:2]
        left, top, wide, high = self._options.region
        return picture[
            round(top * height) : round((top + high) * height), round(left * width) : round((left + wide) * width)
        ]

    # What lies on the belt

    def _follow(self, columns: Columns, now: int) -> None:
        free = np.ones(COLUMNS, bool)
        if not self._trains and not columns.runs:
            self._belt.learn(free)
            return
        profile = columns.profile()
        for train in self._trains:
            train.follow(columns, profile, now, self._direction)
            train.look_for_seams(columns)
            if self._options.direction is None and train.steady and abs(train.moved) > 0.5:
                self._votes = max(-_MOST_VOTES, min(_MOST_VOTES, self._votes + (1 if train.moved > 0 else -1)))
                self._direction = 0 if abs(self._votes) < 2 else 1 if self._votes > 0 else -1
        for train in [each for each in self._trains if each.is_over(now)]:
            self._remove(train, now)
        self._forget_doubles()
        for train in self._trains:
            begin, end = train.view()
            free[max(0, begin - 3) : end + 3] = False
        for begin, end in columns.runs:
            self._begin_trains(np.flatnonzero(free[begin:end]) + begin, profile, now)
            free[max(0, begin - 3) : end + 3] = False
        if self._belt.learn(free) and not any(train.given for train in self._trains):
            self._trains, self._candidates, self._begun_ns = [], [], None  # some were seen in pieces: look anew
        if self._is_machine(now):
            self._belt.take_over()
            self._trains.clear()

    def _begin_trains(self, here: npt.NDArray[np.intp], profile: Floats, now: int) -> None:
        """A new train of columns that belong to none."""
        if len(here) < LEAST_PIECE:
            return
        for piece in np.split(here, np.flatnonzero(np.diff(here) > 1) + 1):
            if len(piece) < LEAST_PIECE:
                continue
            left, right = int(piece[0]), int(piece[-1]) + 1
            if len(piece) >= LEAST_LENGTH or left <= 1 or right >= COLUMNS - 1:  # else too short for a board
                ends = left if left > 1 else None, right if right < COLUMNS - 1 else None
                train = Train(*ends, born_ns=now)
                train.refer(profile, found=True)
                self._trains.append(train)

    def _forget_doubles(self) -> None:
        """Of two trains in one place the one that is better known stays."""
        known = sorted(self._trains, key=lambda each: (bool(each.given), each.steady, abs(each.gone)), reverse=True)
        kept: list[Train] = []
        for train in known:
            begin, end = train.view()
            if all(min(end, e) - max(begin, b) <= 0.5 * min(end - begin, e - b) for b, e in (x.view() for x in kept)):
                kept.append(train)
        self._trains = kept
        self._candidates = [each for each in self._candidates if each.train in kept]

    def _is_machine(self, now: int) -> bool:
        """Whether what has filled the view since the first picture has never moved."""
        return any(
            train.born_ns == self._begun_ns
            and now - train.born_ns > _MACHINE_NS
            and train.bounds() == [None, None]
            and abs(train.gone) < 2
            for train in self._trains
        )

    def _remove(self, train: Train, now: int) -> None:
        """A board that has gone by without ever being whole in view counts as well."""
        self._trains.remove(train)
        for each in [each for each in self._candidates if each.train is train]:
            crossed = train.came_along(0.5) and not train.given
            if each.since_ns is not None or crossed:
                self._give(each)
            else:
                self._candidates.remove(each)

    # Which picture

    def _choose(self, columns: Columns, now: int) -> None:
        for train in self._trains:
            for board in train.boards():
                if not train.was_given(board):
                    self._look_at(train, board, columns, now)
        for each in [each for each in self._candidates if each.is_chosen(now)]:
            self._give(each)

    def _look_at(self, train: Train, board: Board, columns: Columns, now: int) -> None:
        left = -inf if board[0] is None else board[0] + train.gone
        right = inf if board[1] is None else board[1] + train.gone
        begin, end = max(0, round(max(left, 0))), min(COLUMNS, round(min(right, COLUMNS)))
        if end - begin < LEAST_LENGTH or (
            train.born_ns == self._begun_ns and abs(train.gone) < 2 and end - begin >= COLUMNS - 2
        ):
            return
        whole = left >= _INSIDE and right <= COLUMNS - _INSIDE
        full = end - begin >= _FULL * COLUMNS
        way = self._direction or -train.came_from
        came, goes = (left >= 0, right > COLUMNS) if way > 0 else (right <= COLUMNS, left < 0)
        fills = full and (came or goes or not way or abs(train.moved) < _STANDS)  # else there is more to come
        box = box_of(columns, begin, end)
        length = end - begin if whole else self._length(left, right, end - begin, full=fills)
        score = float(columns.texture[:, begin:end].mean())
        at_rest = train.steady and abs(train.moved) < _STANDS and not full  # of one that fills the view one cannot tell
        across = self._coverage_across(box)
        sight = Sight(now, begin, end, box, across, length, score, at_rest, whole, fills)
        sure = self._is_board(train, columns, begin, end, box, now)
        candidate = self._candidate(train, board, sight) if sure else self._known(train, board)
        if candidate is not None:
            candidate.see(sight, sure=sure)
            if way and came and goes and train.came_along(0.5):
                candidate.leave()

    def _known(self, train: Train, board: Board) -> Candidate | None:
        mine = (each for each in self._candidates if each.train is train)
        return next((each for each in mine if train.covers(board, each.mark)), None)

    def _candidate(self, train: Train, board: Board, sight: Sight) -> Candidate:
        candidate = self._known(train, board)
        if candidate is None:
            candidate = Candidate(train, (sight.begin + sight.end) / 2 - train.gone, sight)
            self._candidates.append(candidate)
        return candidate

    def _is_board(self, train: Train, columns: Columns, begin: int, end: int, box: Box, now: int) -> bool:
        """Textured all over, with straight sides: no hand, and no edge of a shadow."""
        came_along = train.came_along(0.25) or end - begin >= _FULL * COLUMNS
        alone = any(
            begin - 3 <= first and last <= end + 3 for first, last in columns.runs if first < end and begin < last
        )
        if not train.came_from and not alone and None not in (train.left, train.right):
            return False  # a piece of something else
        if not train.came_from and train.born_ns != self._begun_ns:
            stood = train.has_stood(box, now)
            if not stood and abs(train.gone) < _OUT_OF_NOWHERE:
                return False  # a hand reaches in from above or below, and goes this far along the belt
        textured = box.filled >= _FILLED and box.textured >= _TEXTURED
        return textured and box.straight >= _STRAIGHT and (came_along or not box.one_edge)

    def _length(self, left: float, right: float, seen: int, *, full: bool) -> float:
        """Of one that ends outside: as others had; else the view's, which may be all of it where it fills that."""
        length = right - left if isfinite(right - left) else median(self._lengths or [seen if full else COLUMNS])
        return max(length, seen)

    def _coverage_across(self, box: Box) -> float:
        """Of a board that sticks out on one side of the picture, judging by those before it."""
        region = self._options.region or (0.0, 0.0, 1.0, 1.0)
        begin, size = region[::2] if self._upright else region[1::2]
        out = (box.top == 0 and begin <= 0.01) is not (box.bottom == BANDS and begin + size >= 0.99)
        return min(1.0, (box.bottom - box.top) / median(self._widths)) if out and self._widths else 1.0

    def _give(self, candidate: Candidate) -> None:
        self._candidates.remove(candidate)
        train, best = candidate.train, candidate.best
        train.given.append(candidate.mark)
        for left, right in train.boards():
            if left is not None and right is not None and left <= candidate.mark < right:
                self._lengths = [*self._lengths[1 - _REMEMBERED :], right - left]
        if best.box.top > 0 and best.box.bottom < BANDS:
            self._widths = [*self._widths[1 - _REMEMBERED :], best.box.bottom - best.box.top]
        speed = abs(train.speed) * self._share(self._upright)
        self._ready.append(Pass(best.at_ns, round(best.coverage, 3), self._outline(best), speed))

    def _share(self, upright: bool) -> float:
        """Of the picture that the region takes, from left to right or from top to bottom, for each column."""
        return (self._options.region or (0, 0, 1, 1))[3 if upright else 2] / COLUMNS

    def _outline(self, sight: Sight) -> tuple[float, float, float, float]:
        left, top, width, height = self._options.region or (0.0, 0.0, 1.0, 1.0)
        along, across = (sight.begin / COLUMNS, sight.end / COLUMNS), (sight.box.top / BANDS, sight.box.bottom / BANDS)
        (x, right), (y, bottom) = (across, along) if self._upright else (along, across)
        return left + x * width, top + y * height, left + right * width, top + bottom * height

    def _next(self, now: int) -> Pass | None:
        for each in [each for each in self._candidates if each.due_ns is not None and now >= each.due_ns]:
            self._give(each)
        return self._ready.pop(0) if self._ready else None
