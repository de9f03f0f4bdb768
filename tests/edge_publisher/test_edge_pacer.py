"""A rate that holds, whatever the camera's own."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_publisher.mode import Pacer
from pcb_bus.contract.times import NS_PER_MS as MS
from pcb_bus.contract.times import NS_PER_S


def sent(fps: float, times: list[int]) -> list[int]:
    pacer = Pacer(fps)
    return [at for at in times if pacer.due(at)]


@pytest.mark.parametrize("camera_fps", [10, 12.5, 15, 25, 30, 60])
def test_ten_of_a_faster_camera(camera_fps: float) -> None:
    times = [round(number * NS_PER_S / camera_fps) for number in range(round(10 * camera_fps))]
    assert len(sent(10, times)) == pytest.approx(100, abs=2)


def test_every_picture_of_a_slower_camera() -> None:
    times = [number * 210 * MS for number in range(50)]
    assert sent(10, times) == times


def test_jitter_costs_no_picture() -> None:
    times = [number * 100 * MS + (number % 3 - 1) * 15 * MS for number in range(1, 60)]
    assert sent(10, times) == times


def test_goes_on_when_the_clock_is_set_back() -> None:
    assert sent(10, [5000 * MS, 5100 * MS, 1000 * MS, 1100 * MS]) == [5000 * MS, 5100 * MS, 1000 * MS, 1100 * MS]


@given(st.floats(0.5, 60), st.lists(st.integers(1, 3 * NS_PER_S), min_size=2, max_size=200))
def test_never_faster_than_asked(fps: float, gaps: list[int]) -> None:
    times = sent(fps, list(accumulate(gaps)))
    period = NS_PER_S / fps
    for first in range(len(times)):
        for last in range(first + 1, len(times)):
            assert times[last] - times[first] >= (last - first - 1) * period - len(times)
