"""How far a clock is off: the truth lies within what is said, however long messages take."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.runtime.clock import DRIFT, Exchange, LineClock, Offset, OffsetEstimate

MS, YEAR = NS_PER_MS, 31_556_952 * NS_PER_S
FIFTY_SIX_YEARS = 56 * YEAR
delays = st.integers(0, 3 * NS_PER_S) | st.integers(0, 5 * MS)


def exchange(at: int, offset: int, there: int, back: int, work: int = 0) -> Exchange:
    heard = at + there + offset
    return Exchange(at, heard, heard + work, at + there + work + back)


@given(
    offset=st.integers(-FIFTY_SIX_YEARS, FIFTY_SIX_YEARS),
    drift=st.floats(-DRIFT, DRIFT),
    rounds=st.lists(st.tuples(delays, delays, delays, delays), min_size=1, max_size=20),
    later=st.integers(0, 3600 * NS_PER_S),
)
def test_the_true_offset_lies_within_the_uncertainty(
    offset: int, drift: float, rounds: list[tuple[int, int, int, int]], later: int
) -> None:
    def ahead(at: int) -> int:
        return offset + round(drift * at)

    estimate, now = OffsetEstimate(), 0
    for pause, there, work, back in rounds:
        asked, heard = now + pause, now + pause + there
        said = heard + work
        now = said + back
        assert estimate.add(Exchange(asked, heard + ahead(heard), said + ahead(said), now))
    for at in (now, now + later):
        found = estimate.at(at)
        assert found is not None
        assert abs(found.ns - ahead(at)) <= found.uncertainty + 2 * len(rounds)  # of rounding, in ns


def test_a_quick_round_trip_makes_up_for_slow_ones() -> None:
    estimate = OffsetEstimate()
    for number, (there, back) in enumerate([(90, 5), (1, 1), (3, 200)]):
        estimate.add(exchange(number * NS_PER_S, 7 * MS, there * MS, back * MS))
    found = estimate.at(3 * NS_PER_S)
    assert found is not None
    assert abs(found.ns - 7 * MS) < MS
    assert found.uncertainty < 1.5 * MS


@pytest.mark.parametrize("step", [-3600 * NS_PER_S, -30 * MS, 30 * MS, FIFTY_SIX_YEARS])
def test_a_clock_that_was_set_is_noticed_and_what_was_measured_before_forgotten(step: int) -> None:
    estimate = OffsetEstimate()
    assert all(estimate.add(exchange(each * NS_PER_S, 5 * MS, MS, MS)) for each in range(8))
    assert not estimate.add(exchange(9 * NS_PER_S, 5 * MS + step, MS, MS))
    assert (len(estimate), estimate.at(9 * NS_PER_S + 2 * MS)) == (1, Offset(5 * MS + step, MS))


def test_an_answer_that_came_before_the_question_says_nothing() -> None:
    estimate = OffsetEstimate()
    assert estimate.add(Exchange(10, 10, 5000, 20))
    assert estimate.at(20) is None


@dataclass
class Clocks:
    """A machine whose wall clock anybody may set."""

    elapsed: int = 0
    wall_ahead: int = 0
    begin: int = 0

    def wall(self) -> int:
        return self.steady() + self.wall_ahead

    def steady(self) -> int:
        return self.begin + self.elapsed


def test_until_it_was_measured_the_lines_time_is_that_of_the_wall_clock() -> None:
    machine = Clocks()
    clock = LineClock(machine.wall, machine.steady)
    machine.wall_ahead = FIFTY_SIX_YEARS
    assert clock.now() == machine.wall()
    assert clock.of_wall(machine.wall()) == machine.steady()


def test_a_pi_that_starts_in_1970_tells_the_right_time_and_goes_on_when_its_clock_is_set() -> None:
    machine = Clocks()
    clock = LineClock(machine.wall, machine.steady)
    assert clock.follow(Offset(FIFTY_SIX_YEARS, MS)) == Offset(FIFTY_SIX_YEARS, MS)
    pictured = clock.of_wall(machine.wall())
    assert clock.line(pictured) == FIFTY_SIX_YEARS
    assert clock.own(clock.line(pictured)) == pictured
    assert clock.steps() == 0
    machine.elapsed += NS_PER_S
    machine.wall_ahead = FIFTY_SIX_YEARS - 3 * NS_PER_S
    assert clock.now() == FIFTY_SIX_YEARS + NS_PER_S
    assert clock.line(clock.of_wall(machine.wall())) == FIFTY_SIX_YEARS + NS_PER_S
    assert (clock.steps(), clock.steps()) == (FIFTY_SIX_YEARS - 3 * NS_PER_S, 0)
    assert clock.follow(Offset(FIFTY_SIX_YEARS, MS)) == Offset(3 * NS_PER_S, MS)


def test_clocks_that_may_agree_are_left_alone() -> None:
    machine = Clocks()
    clock = LineClock(machine.wall, machine.steady)
    clock.follow(Offset(2 * MS, 3 * MS))
    assert (clock.now(), clock.doubt) == (machine.wall(), 0)
    clock.follow(Offset(4 * MS, 3 * MS))
    assert (clock.now(), clock.doubt) == (machine.wall() + 4 * MS, 3 * MS)
    machine.elapsed += 10 * NS_PER_S
    assert clock.doubt == 4 * MS  # of the crystals
    clock.follow(Offset(0, MS))
    assert clock.doubt == 0
