"""What the figures of a line are worth: yields, escapes and false calls with intervals, Pareto, control chart. Pure.

Intervals hold in 95 of 100 cases on average. Of one share they are E. B. Wilson's (JASA 22, 1927). Boards are reviewed
in strata (Cochran, Sampling Techniques, 3rd ed. 1977, ch. 5): all that were rejected or doubted, a share of the rest.
A weighted sum of shares has the interval of Zou and Donner ("MOVER", Statistics in Medicine 27, 2008), which holds with
few or no finds where a normal approximation does not, and the ratio of two such sums that of Newcombe ("MOVER-R",
Statistical Methods in Medical Research 25, 2016). The control chart's rules are those of the Western Electric
Statistical Quality Control Handbook, 1956.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple

from pcb_bus.contract.taxonomy import UNKNOWN_ANOMALY
from records.reviewing import Reviewed

_Z = 1.959964  # 95 % of a normal distribution lie within
Word = Literal["passed", "called", "unjudged"]
_REST: dict[Word, str] = {"passed": "random", "called": "rejected", "unjudged": "doubted"}
"""The reason of those boards of which no other is known."""


class Estimate(NamedTuple):
    """A figure with its interval; the value is None where nothing is known of some boards that count."""

    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Stratum:
    """Boards of one kind: how many there are, and of those that people looked at how many were bad."""

    word: Word
    boards: float
    reviewed: int
    bad: int


class Rates(NamedTuple):
    """Of the bad boards the share that passed, and of the good ones the share that was called. Neither has unjudged."""

    escapes: Estimate
    false_calls: Estimate


def wilson(count: int, of: int) -> Estimate:
    """So many of so many. Of none nothing is known."""
    if not of:
        return Estimate(None, 0.0, 1.0)
    share = count / of
    middle = (share + _Z**2 / (2 * of)) / (1 + _Z**2 / of)
    half = _Z / (1 + _Z**2 / of) * math.sqrt(share * (1 - share) / of + _Z**2 / (4 * of**2))
    return Estimate(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


# what people found


def is_bad(board: Reviewed, minor: Set[str] = frozenset()) -> bool | None:
    """What people say of it; None: they are not sure. A board that has nothing but `minor` defects is good.

    What is said of the board as a whole counts more than what is said of its calls, but for defects that were missed.
    """
    classes = {call.id: call.class_name for call in board.calls}
    whole, parts = None, set[str]()
    for each in board.decisions:
        of = classes.get(each.defect_id or 0) if each.decision == "confirmed" else each.class_name
        said = "false_call" if of in minor else each.decision
        if each.decision == "missed" or each.defect_id is not None:
            parts.add(said)
        else:
            whole = said
    if "missed" in parts:
        return True
    if whole is not None:
        return {"false_call": False, "unsure": None, "confirmed": _as_it_said(board)}.get(whole, True)
    if parts & {"confirmed", "other_class", "repaired"}:
        return True
    return None if "unsure" in parts or not parts else False


def _as_it_said(board: Reviewed) -> bool | None:
    return {"passed": False, "called": True, "unjudged": None}[word_of(board.category)]


def word_of(category: str) -> Word:
    """What the line did with a board of this category."""
    return "passed" if category == "normal" else "unjudged" if category == "unjudged" else "called"


def strata(
    reviewed: Iterable[Reviewed],
    drawn: Mapping[tuple[str, str], int],
    boards: Mapping[str, int],
    minor: Set[str] = frozenset(),
) -> list[Stratum]:
    """The boards of a period by what the line said and why they were queued.

    Args:
        drawn: boards that were queued, by category and reason.
        boards: all boards, by category; those that nobody queued count with the random, the rejected, the doubted ones.
    """
    sizes, looked = _sizes(drawn, boards), defaultdict[tuple[Word, str], list[bool]](list)
    for board in reviewed:
        bad = is_bad(board, minor)
        if bad is not None:
            looked[word_of(board.category), board.reason].append(bad)
    return [Stratum(key[0], size, len(looked[key]), sum(looked[key])) for key, size in sizes.items()]


def _sizes(drawn: Mapping[tuple[str, str], int], boards: Mapping[str, int]) -> dict[tuple[Word, str], float]:
    sizes: Counter[tuple[Word, str]] = Counter()
    for (category, reason), count in drawn.items():
        sizes[word_of(category), reason] += count
    totals: Counter[Word] = Counter()
    for category, count in boards.items():
        totals[word_of(category)] += count
    for word, rest in _REST.items():
        others = sum(count for key, count in sizes.items() if key[0] == word and key[1] != rest)
        sizes[word, rest] = max(totals[word] - others, 0)
    return {key: float(count) for key, count in sorted(sizes.items()) if count}


# yield, escapes, false calls


def raw_yield(boards: Mapping[str, int]) -> float | None:
    """The first-pass yield as the line said it: the share of normal boards. Unjudged ones are not normal."""
    total = sum(boards.values())
    return boards.get("normal", 0) / total if total else None


def corrected_yield(parts: Sequence[Stratum]) -> Estimate:
    """The share of boards that were good at their first pass: without false calls, and less what escaped."""
    everything = sum(part.boards for part in parts)
    if not everything:
        return Estimate(None, 0.0, 1.0)
    bad = _total((part.boards, wilson(part.bad, part.reviewed)) for part in parts)
    value = None if bad.value is None else 1 - bad.value / everything
    return Estimate(value, max(0.0, 1 - bad.high / everything), min(1.0, 1 - bad.low / everything))


def rates(parts: Sequence[Stratum]) -> Rates:
    """Escapes and false calls of all boards, estimated from those that people looked at."""

    def sum_of(word: Word, *, bad: bool) -> Estimate:
        mine = [part for part in parts if part.word == word]
        return _total(
            (part.boards, wilson(part.bad if bad else part.reviewed - part.bad, part.reviewed)) for part in mine
        )

    return Rates(
        _share(sum_of("passed", bad=True), sum_of("called", bad=True)),
        _share(sum_of("called", bad=False), sum_of("passed", bad=False)),
    )


def _total(parts: Iterable[tuple[float, Estimate]]) -> Estimate:
    """The sum of shares of so many boards each."""
    value, below, above, known = 0.0, 0.0, 0.0, True
    highest = 0.0
    for boards, share in parts:
        at = (share.low + share.high) / 2 if share.value is None else share.value
        known &= share.value is not None
        value, highest = value + boards * at, highest + boards
        below += (boards * (at - share.low)) ** 2
        above += (boards * (share.high - at)) ** 2
    low, high = max(0.0, value - math.sqrt(below)), min(highest, value + math.sqrt(above))
    return Estimate(value if known else None, low, max(low, high))


def _share(part: Estimate, rest: Estimate) -> Estimate:
    """`part` of both together; the two are independent."""
    if part.value is None or rest.value is None:
        # Nobody looked at some of them: nothing but what the bounds allow.
        low = part.low / (part.low + rest.high) if part.low else 0.0
        return Estimate(None, low, part.high / (part.high + rest.low) if part.high else 0.0)
    a, b = part.value, rest.value
    if not part.high + rest.high:
        return Estimate(None, 0.0, 1.0)
    below = part.low * (2 * a - part.low)
    root = math.sqrt(max(0.0, (a * b) ** 2 - below * rest.high * (2 * b - rest.high)))
    low = below / (a * b + root) if below > 0 and a * b + root > 0 else 0.0
    under = rest.low * (2 * b - rest.low)
    root = math.sqrt(max(0.0, (a * b) ** 2 - under * part.high * (2 * a - part.high)))
    high = (a * b + root) / under if under > 0 else math.inf
    value = a / (a + b) if a + b else None
    bounds = low / (1 + low), high / (1 + high) if high < math.inf else 1.0
    return Estimate(value, *bounds) if value is None else Estimate(value, min(value, bounds[0]), max(value, bounds[1]))


# thresholds replayed


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What calls a board: a box from `confidence` on (of its class, where one is named), or a score over `oddity`."""

    confidence: float
    oddity: float = 0.5
    of_class: Mapping[str, float] = field(default_factory=dict)

    def call(self, board: Reviewed, minor: Set[str] = frozenset()) -> bool:
        """Whether they call the board. What lay under the line's own threshold then, nobody knows any more."""
        boxes = (call for call in board.calls if call.class_name not in minor and call.class_name != UNKNOWN_ANOMALY)
        sure = any(call.confidence >= self.of_class.get(call.class_name, self.confidence) for call in boxes)
        return sure or (board.oddity is not None and board.oddity > self.oddity)


class Replay(NamedTuple):
    """What thresholds would have done with the boards that people looked at, and with all boards by estimate."""

    caught: int
    escaped: int
    called_good: int
    passed_good: int
    rates: Rates


def replay(
    reviewed: Sequence[Reviewed],
    drawn: Mapping[tuple[str, str], int],
    boards: Mapping[str, int],
    thresholds: Thresholds,
    minor: Set[str] = frozenset(),
) -> Replay:
    """Boards that were unjudged have no part in it. Arguments as of `strata`."""
    seen: dict[tuple[Word, str], Counter[tuple[bool, bool]]] = defaultdict(Counter)
    for board in reviewed:
        bad = is_bad(board, minor)
        if bad is not None:
            seen[word_of(board.category), board.reason][thresholds.call(board, minor), bad] += 1
    parts, total = list[Stratum](), Counter[tuple[bool, bool]]()
    for key, size in _sizes(drawn, boards).items():
        if key[0] != "unjudged":
            parts += _replayed(key[0], size, seen[key])
            total += seen[key]
    outcomes = total[True, True], total[False, True], total[True, False], total[False, False]
    return Replay(*outcomes, rates=rates(parts))


def _replayed(word: Word, boards: float, seen: Counter[tuple[bool, bool]]) -> Iterator[Stratum]:
    """A stratum by what the thresholds say; `seen` are those that people looked at, by (called, bad)."""
    looked = sum(seen.values())
    if not looked:
        yield Stratum(word, boards, 0, 0)
    for called in (False, True):
        bad, good = seen[called, True], seen[called, False]
        if bad + good:
            yield Stratum("called" if called else "passed", boards * (bad + good) / looked, bad + good, bad)


# Pareto and control chart


class Bar(NamedTuple):
    """One cause: how often, its share of all, and that of it and all before it together."""

    name: str
    number: int
    share: float
    cumulated: float


def pareto(counts: Mapping[str, int]) -> list[Bar]:
    """The most frequent first; what never came is left out."""
    ordered = sorted((-number, name) for name, number in counts.items() if number > 0)
    bars, total, so_far = list[Bar](), -sum(number for number, _ in ordered), 0
    for number, name in ordered:
        so_far -= number
        bars.append(Bar(name, -number, -number / total, so_far / total))
    return bars


class Point(NamedTuple):
    """The defect share of an hour, between its limits; `rules` of Western Electric (1 to 4) that it breaks."""

    begins_at: datetime
    boards: int
    share: float
    low: float
    high: float
    rules: tuple[int, ...]


def control_chart(hours: Iterable[tuple[datetime, int, int]]) -> tuple[float | None, list[Point]]:
    """The p-chart of hours with (begin, boards, defective ones), in order: its centre line, and a point for each hour.

    Limits are three standard deviations from the centre line, by how many boards the hour had. Hours without boards
    have no point. Rules: 1, a point beyond them; 2, two of three beyond two deviations; 3, four of five beyond one; 4,
    eight in a row; each on the same side of the centre line. The point that completes one breaks it.
    """
    counted = [each for each in hours if each[1] > 0]
    total = sum(boards for _, boards, _ in counted)
    if not total:
        return None, []
    centre = sum(bad for _, _, bad in counted) / total
    deviations, points = list[float](), list[Point]()
    for begins_at, boards, bad in counted:
        sigma, share = math.sqrt(centre * (1 - centre) / boards), bad / boards
        deviations.append((share - centre) / sigma if sigma else 0.0)
        limits = max(0.0, centre - 3 * sigma), min(1.0, centre + 3 * sigma)
        points.append(Point(begins_at, boards, share, *limits, _broken(deviations)))
    return centre, points


_RULES: dict[int, tuple[int, int, float]] = {1: (1, 1, 3.0), 2: (2, 3, 2.0), 3: (4, 5, 1.0), 4: (8, 8, 0.0)}
"""So many of so many beyond so many standard deviations."""


def _broken(deviations: Sequence[float]) -> tuple[int, ...]:
    """The rules that the last one breaks."""

    def beyond(side: int, distance: float) -> Callable[[float], bool]:
        return lambda deviation: side * deviation > distance

    return tuple(
        rule
        for rule, (least, window, distance) in _RULES.items()
        if any(
            far(deviations[-1]) and sum(map(far, deviations[-window:])) >= least
            for far in (beyond(1, distance), beyond(-1, distance))
        )
    )
