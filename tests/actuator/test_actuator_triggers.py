"""When a board stood before the cameras, whatever the clocks of cameras and the network do."""

from dataclasses import dataclass, field
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actuator.triggers import BoardMoments
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S

MS = NS_PER_MS
HOUR_MS = 3_600_000
WALL = 1_800_000_000 * NS_PER_S
TOLERANCE = 20 * MS
HELD_UP_MS = 120  # so long a trigger may be on its way, or nobody knows


@dataclass
class Eye:
    """A photo-eye whose clock is wrong by `off_ms`; boards pass it, and its triggers take their time."""

    moments: BoardMoments = field(default_factory=lambda: BoardMoments("pcb", TOLERANCE))
    off_ms: float = 0
    now: int = 50 * NS_PER_S
    name: str = "eye"
    boards: int = 0

    def see(self, *, after_ms: float = 500, way_ms: float = 1, age_ms: float | None = 5) -> Trigger:
        """A board passes `after_ms` after the one before; the trigger leaves `age_ms` later, and takes `way_ms`."""
        self.now += round(after_ms * MS)
        self.boards += 1
        triggered_at = WALL + self.now + round(self.off_ms * MS)
        trigger = Trigger(
            board_id=f"{self.name} {self.boards}", triggered_at=triggered_at, source=self.name, age_ms=age_ms
        )
        self.moments.note(trigger, self.now + round(((age_ms or 0) + way_ms) * MS))
        return trigger

    def error_ms(self, trigger: Trigger) -> float | None:
        """How much later than it was the moment of the latest board is said to be."""
        found = self.moments.of(verdict_id("pcb", trigger.board_id, trigger.triggered_at))
        return None if found is None else (found - self.now) / MS

    def errors_ms(self, *ways_ms: float, after_ms: float = 500) -> list[float | None]:
        return [self.error_ms(self.see(after_ms=after_ms, way_ms=way_ms)) for way_ms in ways_ms]


@pytest.mark.parametrize("off_ms", [-HOUR_MS, -400, 0, 400, HOUR_MS])
def test_the_senders_clock_moves_nothing(off_ms: float) -> None:
    assert Eye(off_ms=off_ms).errors_ms(*[1] * 50) == [1] * 50


def test_an_unknown_board_has_no_moment() -> None:
    eye = Eye()
    eye.see()
    assert eye.moments.of(verdict_id("pcb", "eye 1", WALL)) is None


def test_a_trigger_says_how_old_it_is() -> None:
    eye = Eye(off_ms=HOUR_MS)
    assert [eye.error_ms(eye.see(age_ms=age_ms)) for age_ms in (0, 3000, 17)] == [1, 1, 1]


def test_a_sender_that_cannot_say_so_is_taken_at_its_quickest() -> None:
    eye = Eye()
    found = [eye.error_ms(eye.see(age_ms=None, way_ms=way_ms)) for way_ms in (3, 90, 3, 40)]
    assert found == pytest.approx([3, 3, 3, 3], abs=0.6)


@pytest.mark.parametrize("way_ms", [30, 100, HELD_UP_MS])
def test_a_trigger_that_was_held_up_is_corrected_by_the_others(way_ms: float) -> None:
    assert Eye(off_ms=HOUR_MS).errors_ms(1, 1, 1, way_ms, 1) == pytest.approx([1, 1, 1, 1, 1], abs=0.6)


def test_nobody_knows_of_one_that_was_held_up_for_long() -> None:
    assert Eye().errors_ms(1, 1, 1, HELD_UP_MS + 2, 3000, 1) == [1, 1, 1, None, None, 1]


def test_a_queue_that_is_flushed_after_an_outage_moves_no_pulse() -> None:
    eye = Eye()
    eye.errors_ms(1, 1, 1)
    assert eye.errors_ms(5000, 4500, 4000, 3500, 3000, after_ms=500) == [None] * 5
    assert eye.errors_ms(1, 1) == [1, 1]


@pytest.mark.parametrize("step_ms", [-HOUR_MS, -3000, -130])
def test_a_clock_that_is_set_back_silences_two_boards_and_moves_none(step_ms: float) -> None:
    eye = Eye()
    eye.errors_ms(1, 1, 1)
    eye.off_ms = step_ms
    assert eye.errors_ms(1, 1, 1, 1) == [None, None, 1, 1]


@pytest.mark.parametrize("step_ms", [130, 3000, HOUR_MS])
def test_a_clock_that_is_set_forward_moves_none(step_ms: float) -> None:
    eye = Eye()
    eye.errors_ms(1, 1, 1)
    eye.off_ms = step_ms
    assert eye.errors_ms(1, 1, 1, 1) == [1] * 4


@pytest.mark.parametrize("step_ms", [-HOUR_MS, -3000, 3000, HOUR_MS])
def test_a_clock_that_is_set_and_set_right_again_moves_none(step_ms: float) -> None:
    eye, found = Eye(), list[float | None]()
    for off_ms in (0, 0, 0, step_ms, 0, step_ms, step_ms, 0, 0, 0, 0):
        eye.off_ms = off_ms
        found += eye.errors_ms(1)
    assert {each for each in found if each is not None} == {1}
    assert found[-1] == 1


@pytest.mark.parametrize("per_mille", [-0.5, 0.5])
def test_a_clock_that_is_slewed_moves_a_pulse_by_a_millisecond_at_most(per_mille: float) -> None:
    eye = Eye()
    for _ in range(600):
        eye.off_ms += 500 * per_mille / 1000
        (error,) = eye.errors_ms(1)
        assert error == pytest.approx(1, abs=1)


def test_a_slow_line_with_a_slewed_clock_has_its_moments_too() -> None:
    eye = Eye()
    for _ in range(20):
        eye.off_ms -= 300
        assert eye.errors_ms(1, after_ms=600_000) == [1]


def test_a_longer_way_is_believed_after_three_boards() -> None:
    eye = Eye()
    eye.errors_ms(1, 1, 1)
    assert eye.errors_ms(301, 302, 303, 301) == [None, None, pytest.approx(301), pytest.approx(301)]


def test_one_board_that_is_said_often_is_not_three() -> None:
    eye = Eye()
    eye.errors_ms(1, 1, 1)
    late = eye.see(way_ms=4000)
    for _ in range(5):
        eye.moments.note(late, eye.now + 4000 * MS)
    assert eye.error_ms(late) is None
    assert eye.errors_ms(1) == [1]


def test_the_first_word_on_a_board_stands() -> None:
    eye = Eye()
    first = eye.see()
    for repeat_ms in (20, 90, 5000):
        eye.moments.note(first, eye.now + repeat_ms * MS)
    eye.moments.note(first.model_copy(update={"source": "another"}), eye.now + 700 * MS)
    assert eye.error_ms(first) == 1


@pytest.mark.parametrize("after_ms", [61_000, 600_000, 8 * HOUR_MS])
def test_a_slow_line_has_its_moments_too_and_sees_what_was_held_up(after_ms: float) -> None:
    eye = Eye(off_ms=HOUR_MS)
    assert eye.errors_ms(*[1] * 5, after_ms=after_ms) == [1] * 5
    held_up_ms = after_ms / 2000 + 2 * HELD_UP_MS  # by no more than that may two clocks have parted since
    assert eye.errors_ms(held_up_ms, 1, after_ms=after_ms) == [None, 1]


def test_each_sender_has_a_way_of_its_own() -> None:
    moments = BoardMoments("pcb", TOLERANCE)
    one, other = Eye(moments, name="one"), Eye(moments, off_ms=-HOUR_MS, name="other")
    for _ in range(5):
        assert one.errors_ms(1) + other.errors_ms(2) == [1, 2]


def test_what_is_remembered_is_bounded() -> None:
    moments = BoardMoments("pcb", TOLERANCE)
    for number in range(3000):
        Eye(moments, name=f"stranger {number}").see()
    assert len(moments._ways) <= 32
    assert len(moments._moments) <= 2000


@given(
    st.sampled_from([0, WALL, 7_258_118_399 * NS_PER_S]),
    st.none() | st.floats(0, 1e9),
    st.integers(0, 10**15),
)
def test_no_legal_value_is_a_fault(triggered_at: int, age_ms: float | None, now: int) -> None:
    moments = BoardMoments("pcb", TOLERANCE)
    for name in ("a", "b"):
        moments.note(Trigger(board_id=name, triggered_at=triggered_at, source="eye", age_ms=age_ms), now)
        found = moments.of(verdict_id("pcb", name, triggered_at))
        assert found is not None
        assert found <= now


@example([(500, 1.0, 0)] * 3 + [(500, 1.0, -3_600_000)] + [(500, 1.0, 0)] * 4)
@given(
    st.lists(
        st.tuples(
            st.integers(200, 2000),
            st.sampled_from([0.5, 1, 2, 5, 80, 110, 500, 4000, 20_000]),
            st.sampled_from([0, 0, 0, 0, 0, 0, -HOUR_MS, -3000, -400, 400, 3000, HOUR_MS]),
        ),
        max_size=60,
    )
)
def test_no_moment_is_far_from_the_truth(boards: list[tuple[int, float, int]]) -> None:
    """Unless three boards in a row were held up by the same: then nobody could know."""
    eye = Eye()
    assert eye.errors_ms(1, 1, 1) == [1, 1, 1]
    offsets = accumulate(step for _, _, step in boards)
    ways = [1.0, 1.0, 1.0]
    for (after_ms, way_ms, _), off_ms in zip(boards, offsets, strict=True):
        eye.off_ms = off_ms
        trigger = eye.see(after_ms=after_ms, way_ms=way_ms)
        ways.append(way_ms)
        error = eye.error_ms(trigger)
        assert error is None or error >= -1
        if max(ways[-3:]) <= 5:
            assert error is None or error <= 6
