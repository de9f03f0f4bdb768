"""What lies on a moving belt, followed from picture to picture. Pure.

A train is a stretch without belt in it: one board, or several that touch. It has coordinates of its own, so that the
place of an end or a seam stays the same while the belt runs, stops, shakes or comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from pcb_bus.contract.times import NS_PER_S
from pcb_bus.seeing.box import Box, mostly
from pcb_bus.seeing.columns import COLUMNS, Columns, Floats

#: Shortest board, columns.
LEAST_LENGTH = COLUMNS // 10
#: Shortest piece of one that may be coming into view.
LEAST_PIECE = 6
_LEAVING = 10  # columns that are left of it
_GATE = 3.0  # how far an end may lie from where it is expected, columns
_REACH = 8  # of the search for where it has gone, columns
_ALIKE, _SURELY, _NEW_REFERENCE = 0.5, 0.7, 6.0
_FARTHER = 0.2 / COLUMNS
_SEAM_FRAMES, _SEAM, _SURE_SEAM = 3, 0.93, 0.96  # lines on a black board have up to 0.95
_BROAD = 10  # bands: in fewer, parts near a board's end look like a line across it
_GONE_NS = NS_PER_S // 3
_COVERED_NS = NS_PER_S // 2
_SHRUNK = 8  # pictures
_MOST_VELOCITY = 60.0 / (NS_PER_S / 30)  # columns a nanosecond
Board = tuple[float | None, float | None]


@dataclass(slots=True)
class Seam:
    """A line across the train, at `place`: seen so well on average, in so many pictures."""

    place: float
    total: float = 0.0
    pictures: int = 0

    @property
    def share(self) -> float:
        return self.total / max(1, self.pictures)


@dataclass(frozen=True, slots=True, eq=False)
class _Pattern:
    """What a train shows from column `begin` to `end` of the picture in which it had gone so far."""

    piece: Floats
    energy: Floats
    begin: int
    end: int
    gone: float


@dataclass(slots=True, eq=False)
class Train:
    """One stretch; `left` and `right` are its ends, None where they have not come into view yet.

    `gone` is how far it has moved since it was first seen, in columns of the picture, to the right; a place `u` of the
    train is at `u + gone` in the picture.
    """

    left: float | None
    right: float | None
    born_ns: int
    gone: float = 0.0
    velocity: float = 0.0
    seams: list[Seam] = field(default_factory=list)
    given: list[float] = field(default_factory=list)
    moved: float = 0.0
    _reference: _Pattern | None = None
    _seen_ns: int = 0
    _steady_ns: int = 0
    _supported_ns: int = 0
    _left_off: int = 0
    _right_off: int = 0
    _rest: tuple[float, int, int, int] = (0.0, 0, 0, 0)
    steady: bool = False
    replaced: bool = False
    came_from: int = 0

    def __post_init__(self) -> None:
        self.came_from = (self.right is None) - (self.left is None)  # 1: from the right edge of the view, -1: the left

    @property
    def speed(self) -> float:
        """Columns a second, to the right."""
        return self.velocity * NS_PER_S

    def came_along(self, share: float) -> bool:
        """Whether it came in at one end of the view and has gone so much of its length towards the other."""
        return -self.came_from * self.gone > share * COLUMNS

    def has_stood(self, box: Box, now: int) -> bool:
        """Whether neither its place nor its box has changed for a second; ask with each picture."""
        gone, top, bottom, since = self._rest
        if not since or abs(self.gone - gone) > 1 or max(abs(box.top - top), abs(box.bottom - bottom)) > 1:
            self._rest = self.gone, box.top, box.bottom, now
            return False
        return now - since >= NS_PER_S

    def view(self) -> tuple[int, int]:
        """First and last column (exclusive) of the picture in which it lies."""
        left = 0 if self.left is None else self.left + self.gone
        right = COLUMNS if self.right is None else self.right + self.gone
        return min(COLUMNS, max(0, round(left))), max(0, min(COLUMNS, round(right)))

    def bounds(self) -> list[float | None]:
        """Where boards begin and end, from left to right."""
        inside = [seam.place for seam in self.seams if self._stands(seam)]
        return [self.left, *inside, self.right]

    def _stands(self, seam: Seam) -> bool:
        return seam.pictures >= _SEAM_FRAMES and seam.share >= _SURE_SEAM

    def boards(self) -> list[Board]:
        bounds = self.bounds()
        return list(pairwise(bounds))

    def covers(self, board: Board, place: float) -> bool:
        low, high = board
        return (low is None or low <= place) and (high is None or place < high)

    def was_given(self, board: Board) -> bool:
        return any(self.covers(board, mark) for mark in self.given)

    # From picture to picture

    def follow(self, columns: Columns, profile: Floats, now: int, direction: int) -> None:
        """Find it again by the picture's profile, and look at its ends and seams."""
        passed = now - (self._seen_ns or self.born_ns)
        expected = self.gone + self.velocity * min(passed, NS_PER_S // 2)
        reach = _REACH + abs(expected - self.gone)  # it may have stopped
        found = self._found(profile, expected, round(reach), direction) if self._steady_ns or self.velocity else None
        if found is None:
            found = self._found(profile, self.gone, COLUMNS, direction)
            if found is not None and not self._is_one(columns, found):
                found = None  # another board of the same kind
        surely, self.steady = self.steady, found is not None
        if found is not None:
            self._steady_ns = now
        elif now - self._steady_ns > _COVERED_NS or not self._fits(columns, expected):
            found = self._by_its_ends(columns, direction, surely=surely)
        moved = (expected if found is None else found) - self.gone
        if found is not None and passed:
            self.velocity = max(-_MOST_VELOCITY, min(_MOST_VELOCITY, moved / passed))
        elif self._seen_ns and now - self._supported_ns > _GONE_NS // 2:
            self.velocity = 0.0
        self.gone += moved
        self.moved = moved
        self._seen_ns = now
        self._ends(columns)
        self.refer(profile, found is not None)
        begin, end = self.view()
        if columns.occupied(begin, end) >= 0.5:
            self._supported_ns = now

    def is_over(self, now: int) -> bool:
        """Out of view, or taken away."""
        begin, end = self.view()
        if self.replaced:
            return True
        if end - begin < _LEAVING and abs(self.gone) > LEAST_PIECE:
            return True
        if self.left is not None and self.right is not None and self.right - self.left < LEAST_LENGTH - 2 * _GATE:
            return True
        grace = _GONE_NS if self.left is not None and self.right is not None else _GONE_NS // 4
        return now - self._supported_ns > grace

    def _fits(self, columns: Columns, gone: float) -> bool:
        """Whether it may be there, under a hand."""
        left = 0 if self.left is None else self.left + gone
        right = COLUMNS if self.right is None else self.right + gone
        return columns.occupied(left, right) > 0.8

    def _is_one(self, columns: Columns, gone: float) -> bool:
        """Whether it would have no belt within it there."""
        left = 0 if self.left is None else self.left + gone
        right = COLUMNS if self.right is None else self.right + gone
        return any(begin - _GATE <= max(left, 0) and min(right, COLUMNS) <= end + _GATE for begin, end in columns.runs)

    def _found(self, profile: Floats, expected: float, reach: int, direction: int) -> float | None:
        """How far it has gone by now, as its pattern says; None: it is not there."""
        if self._reference is None:
            return None
        begin, end, gone = self._reference.begin, self._reference.end, self._reference.gone
        shift = round(expected - gone)
        first = begin + shift - reach  # in the picture, for the leftmost place that is tried
        places = np.arange(first, first + 2 * reach + 1)
        window = np.zeros((profile.shape[0], 2 * reach + end - begin), np.float32)
        low, high = max(0, first), min(COLUMNS, first + window.shape[1])
        if high - low < LEAST_PIECE:
            return None
        window[:, low - first : high - first] = profile[:, low:high]
        both = cv2.matchTemplate(window, self._reference.piece, cv2.TM_CCORR)[0]
        own, theirs = self._reference.energy, _energy(window)
        inside = _clipped(COLUMNS - places, end - begin), _clipped(-places, end - begin)
        energy = (own[inside[0]] - own[inside[1]]) * (theirs[end - begin :] - theirs[: 2 * reach + 1])
        least, alike_enough = (COLUMNS // 3, _SURELY) if reach == COLUMNS and self._steady_ns else (LEAST_PIECE, _ALIKE)
        least = min(least, max(LEAST_PIECE, (end - begin) // 2))
        backwards = direction * (places - begin + gone - self.gone) < -_REACH
        alike = np.where((inside[0] - inside[1] < least) | backwards, 0, both / np.sqrt(energy + 1))
        near = alike - _FARTHER * np.abs(places - first - reach)  # boards of one kind look alike, and touch
        best = int(near.argmax())
        if alike[best] < alike_enough or best in {0, len(alike) - 1}:
            return None
        before, at, after = alike[best - 1 : best + 2]
        part = 0.5 * (before - after) / min(-1e-6, before - 2 * at + after)
        return float(gone + shift - reach + best + part)

    def refer(self, profile: Floats, found: bool) -> None:
        """A pattern to find it by: kept while it stands, so that an hour of standing adds no error."""
        begin, end = self.view()
        if end - begin < 4:
            return
        if self._reference is not None:
            known = self._reference
            moved = abs(self.gone - known.gone)
            if not found or (moved < _NEW_REFERENCE and end - begin <= known.end - known.begin + 4):
                return
        piece = profile[:, begin:end]
        self._reference = _Pattern(piece, _energy(piece), begin, end, self.gone)

    def _by_its_ends(self, columns: Columns, direction: int, *, surely: bool) -> float | None:
        """Where it must have gone, judging by the stretch that it overlaps most; `surely`: until now it was known."""
        begin, end = self.view()
        run = max(columns.runs, key=lambda each: min(end, each[1]) - max(begin, each[0]), default=None)
        if run is None or min(end, run[1]) - max(begin, run[0]) < 2:
            return None
        ends = ((self.left, run[0], 0), (self.right, run[1], COLUMNS))
        known = [seen - (end + self.gone) for end, seen, _ in ends if end is not None and 0 < seen < COLUMNS]
        moves = known or [float(seen - edge) for end, seen, edge in ends if end is None and 0 < seen < COLUMNS]
        if len(moves) > 1 and abs(moves[0] - moves[1]) > 2 * _GATE:
            moves = [each for each in moves if abs(each) <= _GATE]
        move = min(moves, key=abs, default=None)
        if move is not None and direction * move < -_REACH:
            self.replaced = surely
            return None
        if move is None or abs(move) > COLUMNS // 2:
            return None
        return self.gone + move

    def _ends(self, columns: Columns) -> None:
        begin, end = self.view()
        runs = [run for run in columns.runs if min(end, run[1]) - max(begin, run[0]) >= 2]
        if not runs:
            return
        longest = max(runs, key=lambda run: min(end, run[1]) - max(begin, run[0]))
        if self.left is None:
            self.left = longest[0] - self.gone if longest[0] > 1 else None
        else:
            self.left, self._left_off = self._adjusted(self.left, runs[0][0], self._left_off, 1)
        if self.right is None:
            self.right = longest[1] - self.gone if longest[1] < COLUMNS - 1 else None
        else:
            self.right, self._right_off = self._adjusted(self.right, runs[-1][1], self._right_off, -1)

    def _adjusted(self, place: float, seen: int, off: int, inwards: int) -> tuple[float, int]:
        """An end drawn towards where it is seen; one that lies inside the train for long has been wrong."""
        if not 1 < seen < COLUMNS - 1:
            return place, 0
        error = seen - (place + self.gone)
        if abs(error) <= _GATE:
            return place + 0.3 * error, 0
        if error * inwards < 0:
            return place, 0
        return (seen - self.gone, 0) if off >= _SHRUNK else (place, off + 1)

    def look_for_seams(self, columns: Columns) -> None:
        """Count lines across the train, which move with it."""
        begin, end = self.view()
        if end - begin < LEAST_LENGTH:
            return
        rows = mostly(columns.filled[:, begin:end])
        if len(rows) < 5:
            return
        outer, coming = (2, 2) if len(rows) >= _BROAD else (1, LEAST_PIECE)  # the outermost bands may be belt in part
        share = columns.seam(int(rows[0]) + outer, int(rows[-1]) - outer)
        for seam in self.seams:
            at = round(seam.place + self.gone)
            if begin + 2 <= at < end - 2:
                near = share[at - 1 : at + 2]
                nearest = int(near.argmax())
                seam.place += 0.2 * (at - 1 + nearest - self.gone - seam.place)
                seam.total += float(near[nearest])
                seam.pictures += 1
        margin = LEAST_LENGTH
        low = coming if self.left is None else max(2, round(self.left + self.gone) + margin)
        high = COLUMNS - coming if self.right is None else min(COLUMNS - 2, round(self.right + self.gone) - margin)
        for at in (low + np.flatnonzero(share[low:high] >= _SEAM)).tolist() if high > low else ():
            place = float(at - self.gone)
            if all(abs(seam.place - place) > margin / 2 for seam in self.seams):
                self.seams.append(Seam(place, float(share[at]), 1))
        ends = [end for end in (self.left, self.right) if end is not None]
        self.seams = [
            seam
            for seam in sorted(self.seams, key=lambda seam: seam.place)
            if (seam.pictures < 6 or seam.share > 0.8) and all(abs(seam.place - end) > margin for end in ends)
        ]


def _energy(pattern: Floats) -> Floats:
    """Of all columns before each one, and of all."""
    energy = np.zeros(pattern.shape[1] + 1, np.float32)
    np.einsum("ij,ij->j", pattern, pattern, out=energy[1:])
    return np.add.accumulate(energy, out=energy)


def _clipped(places: npt.NDArray[np.intp], most: int) -> npt.NDArray[np.intp]:
    return np.minimum(np.maximum(places, 0), most)
