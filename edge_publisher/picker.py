"""Which picture shows the board of a trigger. Pure: times are ns since the epoch, `now` is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

PATIENCE = 1.5  # frame periods that a trigger waits for a picture that may be nearer


@dataclass(frozen=True, slots=True)
class Chosen:
    """The picture at this place in the sequence."""

    index: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The next picture may be nearer; decide at the next one, at the latest at `until`."""

    until: int


@dataclass(frozen=True, slots=True)
class Missed:
    """No picture within the window; the nearest was `distance` ns away, None if there were none."""

    distance: int | None


Pick = Chosen | Wait | Missed


@dataclass(frozen=True, slots=True)
class PickRules:
    """`window`: how far a picture may be from its trigger, ns; `period`: ns between pictures as configured."""

    window: int
    period: int


def pick(triggered_at: int, asked_at: int, captured: Sequence[int], now: int, rules: PickRules) -> Pick:
    """Choose among pictures captured at `captured` (ascending) for a trigger that arrived at `asked_at`.

    The nearest in time wins. A trigger that is ahead of the newest picture waits while the next one is expected to
    be nearer, for at most `PATIENCE` periods from its arrival, or from its own time if that lies ahead.
    """
    period = frame_period(captured, rules.period)
    if _next_may_be_nearer(triggered_at, captured, period):
        ahead = min(max(triggered_at - asked_at, 0), rules.window)
        until = asked_at + ahead + round(PATIENCE * period)
        if now < until:
            return Wait(until)
    return nearest(triggered_at, captured, rules.window)


def nearest(triggered_at: int, captured: Sequence[int], window: int) -> Chosen | Missed:
    """The picture nearest in time, if it lies within `window` ns."""
    if not captured:
        return Missed(None)
    index = min(range(len(captured)), key=lambda each: abs(captured[each] - triggered_at))
    distance = abs(captured[index] - triggered_at)
    return Chosen(index) if distance <= window else Missed(distance)


def frame_period(captured: Sequence[int], configured: int) -> int:
    """The usual time between pictures, ns: cameras do not always keep to what was asked of them."""
    gaps = [later - earlier for earlier, later in pairwise(captured)]
    return median_low(gaps) if len(gaps) >= 2 else configured


def _next_may_be_nearer(triggered_at: int, captured: Sequence[int], period: int) -> bool:
    if not captured:
        return True
    behind = triggered_at - captured[-1]
    return behind > 0 and period - behind < behind
