"""Which picture shows the board of a trigger. Pure: times are ns since the epoch, `now` is an argument."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

REACH = 1.5
"""Frame periods: so far from its trigger a picture may be, and so long a trigger waits for one that may be nearer."""


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
    """No picture is near enough; the nearest was `distance` ns away, None if there were none."""

    distance: int | None


Pick = Chosen | Wait | Missed


def pick(triggered_at: int, asked_at: int, captured: Sequence[int], now: int, configured: int) -> Pick:
    """Choose among pictures captured at `captured` (ascending) for a trigger that arrived at `asked_at`.

    The nearest in time wins. A trigger that is ahead of the newest picture waits while the next one is expected to
    be nearer, for at most `REACH` periods from its arrival, or from its own time if that lies ahead.

    Args:
        configured: ns between pictures as configured.
    """
    period = frame_period(captured, configured)
    if _next_may_be_nearer(triggered_at, captured, period):
        reach = round(REACH * period)
        until = asked_at + min(max(triggered_at - asked_at, 0), reach) + reach
        if now < until:
            return Wait(until)
    return nearest(triggered_at, captured, configured)


def nearest(triggered_at: int, captured: Sequence[int], configured: int) -> Chosen | Missed:
    """The picture nearest in time, if it lies within `REACH` periods: one further away may show another board."""
    if not captured:
        return Missed(None)
    index = min(range(len(captured)), key=lambda each: abs(captured[each] - triggered_at))
    distance = abs(captured[index] - triggered_at)
    return Chosen(index) if distance <= REACH * frame_period(captured, configured) else Missed(distance)


def frame_period(captured: Sequence[int], configured: int) -> int:
    """The usual time between pictures, ns: cameras do not always keep to what was asked of them.

    Three in four gaps are no longer, so that pictures that come in pairs do not shorten it. It is never more than twice
    what is configured: a camera that pauses must not reach as far as the next board.
    """
    gaps = sorted(later - earlier for earlier, later in pairwise(captured))
    return min(gaps[len(gaps) * 3 // 4], 2 * configured) if len(gaps) >= 2 else configured


def likely_cause(triggered_at: int, asked_at: int, captured: Sequence[int], configured: int) -> str:
    """Why no picture was near enough, for people."""
    if not captured:
        return "the camera gives no pictures"
    delay_s, reach = (asked_at - triggered_at) / 1e9, REACH * frame_period(captured, configured)
    if delay_s * 1e9 < -reach:
        return f"the trigger's clock is {-delay_s:.1f} s ahead of this machine's: set up NTP on both (docs/clocks.md)"
    if triggered_at < captured[0] - reach:
        return (
            f"the trigger came {delay_s:.1f} s after its time: "
            "the clocks of its machine and this one differ (set up NTP on both), or the network held it up"
        )
    fps = 1e9 / configured
    return f"the camera paused, or is slower than edge.fps ({fps:g}): give it more light, or lower edge.fps"


def _next_may_be_nearer(triggered_at: int, captured: Sequence[int], period: int) -> bool:
    if not captured:
        return True
    behind = triggered_at - captured[-1]
    return behind > 0 and period - behind < behind
