"""Figures of a line: examples computed by hand, and what holds of any."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.statistics import (
    Bar,
    Estimate,
    Stratum,
    Thresholds,
    control_chart,
    corrected_yield,
    is_bad,
    pareto,
    rates,
    raw_yield,
    replay,
    strata,
    wilson,
)
from records.reviewing import Call, Past, Reviewed

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
MINOR = frozenset({"scratch"})


def past(decision: Any, defect_id: int | None = None, class_name: str | None = None) -> Past:
    nothing = dict.fromkeys(("camera_id", "x1", "y1", "x2", "y2", "note", "user_id", "username", "undone_at"))
    return Past(1, "v", defect_id, decision, class_name, decided_at=NOW, **nothing)  # type: ignore[arg-type]


def board(
    category: str, *said: Past, calls: tuple[tuple[str, float], ...] = (), oddity: float | None = None
) -> Reviewed:
    reason: Any = {"normal": "random", "unjudged": "doubted"}.get(category, "rejected")
    listed = [Call(number, *call) for number, call in enumerate(calls, 1)]
    return Reviewed("v", reason, category, oddity, listed, list(said))


# what people found


@pytest.mark.parametrize(
    ("reviewed", "bad"),
    [
        (board("normal", past("confirmed")), False),
        (board("normal", past("missed", None, "short")), True),
        (board("normal", past("missed", None, "scratch")), False),
        (board("normal", past("confirmed"), past("missed", None, "short")), True),
        (board("normal", past("repaired")), True),
        (board("normal", past("unsure")), None),
        (board("solder", past("confirmed")), True),
        (board("solder", past("false_call")), False),
        (board("solder", past("other_class", None, "spur")), True),
        (board("solder", past("other_class", None, "scratch")), False),
        (board("unjudged", past("confirmed")), None),
        (board("unjudged", past("repaired")), True),
        (board("solder"), None),
        (board("solder", past("confirmed", 1), past("false_call", 2)), True),
        (board("solder", past("false_call", 1), past("false_call", 2)), False),
        (board("solder", past("false_call", 1), past("unsure", 2)), None),
        (board("solder", past("confirmed", 1), past("unsure", 2)), True),
        (board("solder", past("confirmed", 1), past("false_call")), False),  # of the board as a whole
        (board("solder", past("confirmed", 1), past("false_call", 2), calls=(("scratch", 0.9), ("short", 0.9))), False),
        (board("solder", past("other_class", 1, "spur"), calls=(("scratch", 0.9),)), True),
    ],
)
def test_whether_a_board_is_bad_is_what_people_said(reviewed: Reviewed, bad: bool | None) -> None:
    assert is_bad(reviewed, MINOR) is bad


def test_boards_are_counted_where_they_were_drawn() -> None:
    reviewed = [
        *[board("normal", past("confirmed"))] * 3,
        board("normal", past("missed", None, "short")),
        board("scrap", past("confirmed")),
        board("solder", past("false_call")),
        board("solder", past("unsure")),
    ]
    drawn = {("normal", "random"): 18, ("normal", "doubted"): 5, ("scrap", "rejected"): 20, ("solder", "doubted"): 30}
    counted = strata(reviewed, drawn, {"normal": 900, "scrap": 40, "solder": 60, "unjudged": 7})
    assert counted == [
        Stratum("called", 30, 0, 0),
        Stratum("called", 70, 2, 1),  # twenty were queued, and fifty came before anybody queued them
        Stratum("passed", 5, 0, 0),
        Stratum("passed", 895, 4, 1),
        Stratum("unjudged", 7, 0, 0),
    ]


# yield, escapes, false calls

PARTS = [Stratum("passed", 900, 18, 1), Stratum("called", 100, 100, 90)]


def test_the_interval_of_a_share_is_wilsons() -> None:
    assert wilson(0, 200) == pytest.approx((0, 0, 0.01885), abs=1e-5)
    assert wilson(10, 100) == pytest.approx((0.1, 0.0552, 0.1744), abs=1e-4)
    assert wilson(0, 0) == Estimate(None, 0, 1)


def test_an_example_by_hand() -> None:
    """One of 18 that passed is bad, so 50 of 900 are; of 100 called 90 are bad."""
    found = rates(PARTS)
    assert found.escapes.value == pytest.approx(50 / 140)
    assert found.false_calls.value == pytest.approx(10 / 860)
    # Wilson of 1/18 is (0.00988, 0.25758), of 90/100 (0.82563, 0.94477): 140 bad boards, less
    # sqrt((900 * 0.04567)**2 + (100 * 0.07437)**2) = 41.8, and more by sqrt((900 * 0.20202)**2 + 4.48**2) = 181.9.
    assert corrected_yield(PARTS) == pytest.approx((0.86, 1 - 0.3219, 1 - 0.0982), abs=1e-4)
    assert raw_yield({"normal": 900, "scrap": 95, "unjudged": 5}) == 0.9
    assert raw_yield({}) is None


def test_a_ratio_by_hand() -> None:
    """50 (8.9 to 231.8) of escapes to 90 (82.6 to 94.5) of the caught, by the formulae of Newcombe."""
    a, low_a, high_a, b, low_b, high_b = 50, 8.8957, 231.822, 90, 82.5634, 94.4772
    low = (a * b - ((a * b) ** 2 - low_a * high_b * (2 * a - low_a) * (2 * b - high_b)) ** 0.5) / (
        high_b * (2 * b - high_b)
    )
    high = (a * b + ((a * b) ** 2 - high_a * low_b * (2 * a - high_a) * (2 * b - low_b)) ** 0.5) / (
        low_b * (2 * b - low_b)
    )
    assert rates(PARTS).escapes[1:] == pytest.approx((low / (1 + low), high / (1 + high)), abs=1e-4)


def test_no_escape_among_few_that_were_looked_at_promises_little() -> None:
    """0 of 200 may be 1.885 %: 188 of 10,000, beside 1,000 that were caught."""
    escapes = rates([Stratum("passed", 10_000, 200, 0), Stratum("called", 1000, 1000, 1000)]).escapes
    assert escapes.value == escapes.low == 0
    assert escapes.high == pytest.approx(188.5 / 1188.5, abs=0.002)


def test_where_nobody_looked_nothing_is_known() -> None:
    parts = [Stratum("passed", 900, 0, 0), Stratum("called", 100, 100, 90)]
    found = rates(parts)
    assert (found.escapes.value, found.false_calls.value, corrected_yield(parts).value) == (None, None, None)
    assert found.escapes.high == pytest.approx(900 / (900 + 82.6), abs=1e-3)
    assert found.escapes.low == 0
    assert rates([]) == (Estimate(None, 0, 1), Estimate(None, 0, 1))
    assert corrected_yield([]) == Estimate(None, 0, 1)


def test_intervals_hold_as_often_as_they_say() -> None:
    """Of 500 made-up periods of lines good and bad, each looked at as the queue would have it."""
    luck, held = random.Random(1), [0, 0, 0]
    for _ in range(500):
        bad_passed, bad_called = luck.uniform(0.001, 0.05), luck.uniform(0.5, 0.99)
        of_passed = sum(luck.random() < bad_passed for _ in range(180))
        of_called = sum(luck.random() < bad_called for _ in range(500))
        drawn = [Stratum("passed", 9000, 180, of_passed), Stratum("called", 500, 500, of_called)]
        escaped, caught = 9000 * bad_passed, 500 * bad_called
        true = escaped / (escaped + caught), (500 - caught) / (9500 - caught - escaped), 1 - (escaped + caught) / 9500
        for place, estimate in enumerate((*rates(drawn), corrected_yield(drawn))):
            held[place] += estimate.low <= true[place] <= estimate.high
    assert [count / 500 for count in held] == pytest.approx([0.95] * 3, abs=0.02)


counts = st.integers(0, 60)


@st.composite
def parts(draw: st.DrawFn) -> list[Stratum]:
    found = []
    for word in draw(st.lists(st.sampled_from(["passed", "called", "unjudged"]), max_size=5)):
        bad, good, others = draw(counts), draw(counts), draw(counts)
        found.append(Stratum(word, float(bad + good + others), bad + good, bad))
    return found


@given(parts())
def test_every_figure_is_a_share_within_its_interval(found: list[Stratum]) -> None:
    for estimate in (*rates(found), corrected_yield(found)):
        assert 0 <= estimate.low <= estimate.high <= 1
        assert estimate.value is None or estimate.low <= estimate.value <= estimate.high


@given(parts())
def test_ten_times_as_many_that_were_looked_at_say_more(found: list[Stratum]) -> None:
    more = [Stratum(each.word, each.boards, each.reviewed * 10, each.bad * 10) for each in found]
    for few, many in zip((*rates(found), corrected_yield(found)), (*rates(more), corrected_yield(more)), strict=True):
        assert many.high - many.low <= few.high - few.low + 1e-9


# thresholds replayed


def test_thresholds_are_replayed_on_what_people_looked_at() -> None:
    reviewed = [
        board("solder", past("confirmed"), calls=(("short", 0.9),)),
        board("solder", past("confirmed"), calls=(("short", 0.6), ("scratch", 0.99))),
        board("solder", past("false_call"), calls=(("spur", 0.55),)),
        board("solder", past("unsure"), calls=(("spur", 0.55),)),
        board("normal", past("confirmed"), oddity=0.3),
        board("normal", past("missed", None, "short"), oddity=0.45),
        board("unjudged", past("repaired")),
    ]
    drawn = {("solder", "rejected"): 4, ("normal", "random"): 2}
    boards = {"solder": 4, "normal": 96, "unjudged": 1}

    def outcome(**chosen: Any) -> tuple[int, ...]:
        return replay(reviewed, drawn, boards, Thresholds(**chosen), MINOR)[:4]

    assert outcome(confidence=0.5) == (2, 1, 1, 1)
    assert outcome(confidence=0.8) == (1, 2, 0, 2)
    assert outcome(confidence=0.8, of_class={"short": 0.6}) == (2, 1, 0, 2)
    assert outcome(confidence=0.5, oddity=0.4) == (3, 0, 1, 1)
    assert outcome(confidence=1.0, oddity=0.2) == (1, 2, 1, 1)
    same = replay(reviewed, drawn, boards, Thresholds(0.5), MINOR)
    assert same.rates == rates(strata(reviewed, drawn, boards, MINOR))
    # 48 of 96 that passed are bad, and of 4 that were called a third would pass besides.
    strict = replay(reviewed, drawn, boards, Thresholds(0.8), MINOR)
    assert strict.rates.escapes.value == pytest.approx((48 + 4 / 3) / (48 + 8 / 3))


# Pareto and control chart


def test_pareto_by_hand() -> None:
    assert pareto({"spur": 3, "short": 6, "open": 3, "never": 0}) == [
        Bar("short", 6, 0.5, 0.5),
        Bar("open", 3, 0.25, 0.75),
        Bar("spur", 3, 0.25, 1.0),
    ]
    assert pareto({}) == []


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 10**9)))
def test_pareto_falls_and_adds_up(counts: dict[str, int]) -> None:
    bars = pareto(counts)
    assert sum(bar.number for bar in bars) == sum(counts.values())
    assert [bar.number for bar in bars] == sorted((bar.number for bar in bars), reverse=True)
    assert not bars or (bars[-1].cumulated, sum(bar.share for bar in bars)) == pytest.approx((1, 1))


def chart(*bad: int, boards: int = 100) -> tuple[float | None, list[tuple[int, ...]]]:
    hours = [(NOW + number * timedelta(hours=1), boards, count) for number, count in enumerate(bad)]
    centre, points = control_chart(hours)
    return centre, [point.rules for point in points]


def test_limits_by_hand_are_narrower_where_there_are_more_boards() -> None:
    """Of a share of 0.1 the deviation is 0.03 with 100 boards, 0.015 with 400."""
    centre, points = control_chart([(NOW, 100, 10), (NOW, 0, 0), (NOW, 400, 40), (NOW, 10, 1)])
    assert centre == pytest.approx(0.1)
    limits = [limit for point in points for limit in (point.low, point.high)]
    assert limits == pytest.approx([0.01, 0.19, 0.055, 0.145, 0, 0.1 + 3 * (0.09 / 10) ** 0.5])
    assert [point.boards for point in points] == [100, 400, 10]


def test_rules_by_hand() -> None:
    """The centre line of each is 0.1, so that two, one and a third deviation are 16, 13 and 11 bad boards."""
    nothing: tuple[int, ...] = ()
    assert chart(20, *[9] * 10) == (0.1, [(1,), *[nothing] * 7, *[(4,)] * 3])
    assert chart(17, 10, 17, *[8] * 7) == (0.1, [nothing, nothing, (2,), *[nothing] * 7])
    assert chart(14, 14, 10, 14, 14, 8, 8, 8, 8, 10, 8, 8, 8, 8) == (0.1, [*[nothing] * 4, (3,), *[nothing] * 9])
    assert chart(0, 0) == (0.0, [nothing] * 2)
    assert chart(100, 100) == (1.0, [nothing] * 2)
    assert control_chart([(NOW, 0, 0)]) == (None, [])


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), max_size=30))
def test_rule_1_is_what_lies_beyond_the_limits(hours: list[tuple[int, float]]) -> None:
    centre, points = control_chart((NOW, boards, int(boards * share)) for boards, share in hours)
    for point in points:
        assert centre is not None
        assert 0 <= point.low <= centre + 1e-12
        assert centre <= point.high + 1e-12
        if abs(point.share - point.low) > 1e-9 and abs(point.share - point.high) > 1e-9:
            assert (1 in point.rules) == (not point.low <= point.share <= point.high)
