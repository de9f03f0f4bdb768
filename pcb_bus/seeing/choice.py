"""Which picture of a board is the one to judge: the best one up to the moment when it gets no better. Pure.

The pictures of a board are compared as they come. Once it is whole in view, its choice is due: when three pictures in a
row were no better (one, of a board that stands; none, if it came to rest no sharper than it was on its way), 150 ms
after the picture chosen at most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pcb_bus.contract.times import NS_PER_MS
from pcb_bus.seeing.box import Box
from pcb_bus.seeing.trains import Train

_PATIENCE_NS = 150 * NS_PER_MS
_WORSE = 3  # pictures in a row that are no better; one is enough of a board that stands
_BETTER = 1.02
_SURE = 2  # pictures


@dataclass(frozen=True, slots=True)
class Sight:
    """A board in one picture.

    Args:
        at_ns: when it was taken.
        begin: its first column in view.
        end: its last column (exclusive).
        box: its bands.
        across: the share of its width that is seen.
        length: of all of it, as far as is known; columns.
        score: more for a sharper picture.
        at_rest: it stands.
        whole: all of it is in view, from end to end.
        fills: it takes all of the view, and no more of it can be seen at once.
    """

    at_ns: int
    begin: int
    end: int
    box: Box
    across: float
    length: float
    score: float
    at_rest: bool
    whole: bool
    fills: bool

    @property
    def coverage(self) -> float:
        """The share of it that is seen."""
        return self.across * min(1.0, (self.end - self.begin) / self.length)


@dataclass(slots=True, eq=False)
class Candidate:
    """The best picture of a board so far; `mark` is a place on its train that it covers."""

    train: Train
    mark: float
    best: Sight
    since_ns: int | None = None
    """From when on the choice may wait; None: it has not been whole yet."""
    _worse: int = 0
    _sure: int = 0

    def see(self, sight: Sight, *, sure: bool) -> None:
        """One more picture. What has been a board in two stays one, although something lies over it now."""
        if sight.fills:  # how long it is may be known by now
            self.best = replace(self.best, length=min(self.best.length, sight.length))
        if sight is not self.best:
            self._compare(sight)
        self._sure += sure
        if self.since_ns is None and (sight.whole or sight.fills) and (sure or self._sure >= _SURE):
            if sight.whole or sight.coverage >= self.best.coverage:
                self.best = sight
            self.since_ns, self._worse = self.best.at_ns, 0
            self.mark = (sight.begin + sight.end) / 2 - self.train.gone

    def _compare(self, sight: Sight) -> None:
        came_to_rest = sight.at_rest and not self.best.at_rest and sight.coverage >= self.best.coverage
        if came_to_rest or (sight.coverage, sight.score) > (self.best.coverage, self.best.score * _BETTER):
            # A board that comes to rest and looks no sharper than it did on its way looks as it ever will.
            settled = came_to_rest and (sight.coverage, sight.score) <= (self.best.coverage, self.best.score * _BETTER)
            self.best, self._worse = sight, int(settled)
        else:
            self._worse += 1

    def leave(self) -> None:
        """It is on its way out of view, so that no picture to come is better."""
        if self.since_ns is None:
            self.since_ns = self.best.at_ns

    @property
    def due_ns(self) -> int | None:
        """When the choice is made at the latest; None: not known yet."""
        return None if self.since_ns is None else self.since_ns + _PATIENCE_NS

    def is_chosen(self, now: int) -> bool:
        """Whether waiting any longer gains nothing."""
        if self.due_ns is None:
            return False
        return now >= self.due_ns or self._worse >= (1 if self.best.at_rest else _WORSE)
