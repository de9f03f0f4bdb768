"""Which picture shows the board of a trigger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_publisher.triggers import REACH, Chosen, Missed, Pick, Wait, frame_period, likely_cause, nearest, pick
from pcb_bus.contract.times import NS_PER_MS as MS

PERIOD = 100 * MS
AT_10_FPS = [1000 * MS, 1100 * MS, 1200 * MS]


def ask(triggered_at: float, captured: list[int], now: float | None = None) -> Pick:
    at = round(triggered_at * MS)
    return pick(at, at, captured, at if now is None else round(now * MS), PERIOD)


@pytest.mark.parametrize(
    ("triggered_at", "index"),
    [(1100, 1), (1049, 0), (1051, 1), (1199, 2), (1230, 2), (850, 0)],
)
def test_nearest_picture_is_chosen_at_once(triggered_at: int, index: int) -> None:
    assert ask(triggered_at, AT_10_FPS) == Chosen(index)


def test_waits_while_the_next_picture_is_expected_to_be_nearer() -> None:
    assert ask(1260, AT_10_FPS) == Wait(1260 * MS + 150 * MS)
    assert ask(1260, [*AT_10_FPS, 1300 * MS]) == Chosen(3)


def test_takes_the_newest_when_the_next_one_does_not_come() -> None:
    assert ask(1260, AT_10_FPS, now=1409.9) == Wait(1410 * MS)
    assert ask(1260, AT_10_FPS, now=1410) == Chosen(2)


@pytest.mark.parametrize(("triggered_at", "distance"), [(849, 151 * MS), (1351, 151 * MS)])
def test_a_picture_further_away_than_one_and_a_half_periods_is_a_miss(triggered_at: int, distance: int) -> None:
    assert ask(triggered_at, AT_10_FPS, now=5000) == Missed(distance)


@pytest.mark.parametrize("pictures_before", [1, 2, 15])
def test_the_picture_of_another_board_is_a_miss(pictures_before: int) -> None:
    """A camera that paused, on a line of two boards a second: the next pictures are those of the neighbours."""
    steady = [(1070 - 100 * back) * MS for back in range(pictures_before)][::-1]
    assert ask(1500, [*steady, 1970 * MS], now=5000) == Missed(430 * MS)


def test_without_pictures_it_waits_then_misses() -> None:
    assert ask(1000, []) == Wait(1150 * MS)
    assert ask(1000, [], now=1150) == Missed(None)


def test_a_trigger_of_a_clock_that_is_ahead_waits_for_its_time() -> None:
    assert pick(1300 * MS, 1210 * MS, AT_10_FPS, 1210 * MS, PERIOD) == Wait(1450 * MS)


def test_a_trigger_of_the_far_future_does_not_wait_for_ever() -> None:
    wait = pick(10**18, 1210 * MS, AT_10_FPS, 1210 * MS, PERIOD)
    assert wait == Wait(1210 * MS + 150 * MS + 150 * MS)


def test_the_rate_is_that_of_the_pictures_not_of_the_configuration() -> None:
    at_30_fps = [1000 * MS, 1033 * MS, 1067 * MS]
    assert frame_period(at_30_fps, 100 * MS) == 34 * MS
    assert ask(1090, at_30_fps) == Wait(1090 * MS + 51 * MS)


@pytest.mark.parametrize(
    ("gaps", "period"),
    [
        ([100] * 12 + [900], 100),  # one pause
        ([1, 199] * 6, 199),  # a driver that hands over two at a time
        ([300] * 4, 200),  # slower than twice what was asked for
        ([900, 900], 200),
        ([900], 100),
        ([], 100),
    ],
)
def test_neither_pauses_nor_pairs_of_pictures_change_the_rate(gaps: list[int], period: int) -> None:
    captured = [0]
    for gap in gaps:
        captured.append(captured[-1] + gap * MS)
    assert frame_period(captured, 100 * MS) == period * MS


@pytest.mark.parametrize(
    ("triggered_at", "asked_at", "captured", "words"),
    [
        (1000, 1000, [], "gives no pictures"),
        (1500, 1500, [1070, 1970], "slower than edge.fps (10)"),
        (9000, 4000, [1000, 1100], "clock is 5.0 s ahead of this machine's: set up NTP"),
        (1000, 21_000, [20_900, 21_000], "came 20.0 s after its time"),
    ],
)
def test_a_miss_names_its_likely_cause(triggered_at: int, asked_at: int, captured: list[int], words: str) -> None:
    assert words in likely_cause(triggered_at * MS, asked_at * MS, [each * MS for each in captured], PERIOD)


TIMES = st.integers(0, 10_000 * MS)
RINGS = st.lists(TIMES, max_size=40, unique=True).map(sorted)


@given(TIMES, TIMES, RINGS, TIMES)
def test_a_choice_is_the_nearest_and_within_reach(triggered_at: int, asked_at: int, ring: list[int], now: int) -> None:
    decision = pick(triggered_at, asked_at, ring, now, PERIOD)
    distances = [abs(each - triggered_at) for each in ring]
    reach = REACH * frame_period(ring, PERIOD)
    assert reach <= 3 * PERIOD
    if isinstance(decision, Chosen):
        assert distances[decision.index] == min(distances) <= reach
    elif isinstance(decision, Missed):
        assert decision.distance == min(distances, default=None)
        assert not distances or min(distances) > reach


@given(TIMES, TIMES, RINGS, TIMES)
def test_waiting_ends(triggered_at: int, asked_at: int, ring: list[int], now: int) -> None:
    decision = pick(triggered_at, asked_at, ring, now, PERIOD)
    if isinstance(decision, Wait):
        assert now < decision.until <= asked_at + 2 * round(REACH * frame_period(ring, PERIOD))
        assert not isinstance(pick(triggered_at, asked_at, ring, decision.until, PERIOD), Wait)


@given(st.integers(20, 200), st.integers(0, 5000), st.integers(0, 400), st.integers(0, 15))
def test_a_steady_camera_gives_the_picture_that_is_nearest_of_all(
    period_ms: int, triggered_ms: int, delay_ms: int, arrival_ms: int
) -> None:
    """Whatever the moment of the trigger and its delay, and however long a picture takes to arrive."""
    period, triggered_at = period_ms * MS, (1000 + triggered_ms) * MS
    everything = list(range(0, 8000 * MS, period))
    now = asked_at = triggered_at + delay_ms * MS
    decision: Pick = Wait(0)
    while isinstance(decision, Wait):
        ring = [each for each in everything if now - 1500 * MS <= each <= now - arrival_ms * MS]
        decision = pick(triggered_at, asked_at, ring, now, period)
        chosen = ring[decision.index] if isinstance(decision, Chosen) else None
        now += MS
    best = nearest(triggered_at, everything, period)
    assert isinstance(best, Chosen)
    assert chosen is not None
    assert abs(chosen - triggered_at) == abs(everything[best.index] - triggered_at)
