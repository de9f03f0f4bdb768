"""The schedule says the same to every process that asks, and never two boards at once."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.clock import NS_PER_MS, NS_PER_S
from pcb_bus.settings import DEFAULT_TAXONOMY
from pcb_bus.taxonomy import load_taxonomy
from simulator.schedule import Schedule

SIDES = ("left", "right")
schedules = st.builds(
    Schedule,
    seed=st.integers(0, 1000),
    rate=st.floats(0.1, 20),
    epoch_ns=st.integers(0, 2_000_000_000 * NS_PER_S),
    defect_share=st.floats(0, 1),
)


@given(schedules, st.integers(0, 100_000))
def test_a_board_stands_in_place_when_it_is_triggered(schedule: Schedule, index: int) -> None:
    due = schedule.trigger_time(index)
    assert schedule.index_at(due) == index
    assert schedule.offset_at(due) == 0
    assert due % NS_PER_MS == 0


@given(schedules, st.integers(0, 10**12))
def test_the_next_board_is_due_later_and_the_one_before_is_not(schedule: Schedule, since: int) -> None:
    now = schedule.epoch_ns + since
    index = schedule.next_index(now)
    assert schedule.trigger_time(index - 1) <= now < schedule.trigger_time(index)


@given(schedules, st.integers(0, 10**12))
def test_a_board_is_never_further_than_its_own_length(schedule: Schedule, since: int) -> None:
    assert -1.001 <= schedule.offset_at(schedule.epoch_ns + since) <= 1.001


def test_another_process_draws_the_same_boards() -> None:
    code = "from simulator.schedule import Schedule as S; s = S(7); print([s.defects(i, 'left') for i in range(50)])"
    root = Path(__file__).parents[2]
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert there.stdout.strip() == str([Schedule(7).defects(index, "left") for index in range(50)])


def test_the_share_of_defective_sides_is_kept() -> None:
    schedule = Schedule(defect_share=0.3)
    defective = sum(bool(schedule.defects(index, side)) for index in range(1000) for side in SIDES)
    assert 0.26 < defective / 2000 < 0.34


def test_truth_is_the_worst_of_both_sides() -> None:
    taxonomy, schedule = load_taxonomy(DEFAULT_TAXONOMY), Schedule(seed=3, defect_share=0.6)
    for index in range(200):
        names = [name for side in SIDES for name in schedule.defects(index, side)]
        expected = (
            "scrap" if "spurious_copper" in names else "solder" if {"short", "open_circuit"} & {*names} else "normal"
        )
        assert schedule.truth(index, SIDES, taxonomy) == expected


@pytest.mark.parametrize("other", [Schedule(epoch_ns=NS_PER_S), Schedule(epoch_ns=77 * NS_PER_S)])
def test_board_ids_differ_between_runs(other: Schedule) -> None:
    assert Schedule().board_id(5) != other.board_id(5)


def test_the_query_of_a_camera_names_every_option() -> None:
    query = parse_qs(Schedule(5, 2.5, 123, 0.25).query)
    assert query == {"seed": ["5"], "rate": ["2.5"], "epoch_ns": ["123"], "defect_share": ["0.25"]}
