"""The schedule says the same to every process that asks, and never two boards at once."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from simulator.schedule import BARE, LOOKS, Schedule

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
def test_a_board_is_never_further_than_half_way_to_the_next(schedule: Schedule, since: int) -> None:
    assert -1.001 <= schedule.offset_at(schedule.epoch_ns + since) <= 1.001


def test_another_process_draws_the_same_boards() -> None:
    code = "from simulator.schedule import Schedule as S; s = S(7); print([s.faults(i, 'left') for i in range(50)])"
    root = Path(__file__).parents[2]
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert there.stdout.strip() == str([Schedule(7).faults(index, "left") for index in range(50)])


def test_the_shares_of_defects_and_oddities_are_kept() -> None:
    schedule = Schedule(defect_share=0.3, oddity_share=0.1)
    sides = [schedule.faults(index, side) for index in range(1000) for side in SIDES]
    odd = sum(any(fault.odd for fault in faults) for faults in sides)
    assert 0.08 < odd / 2000 < 0.12
    assert 0.24 < (sum(map(bool, sides)) - odd) / 2000 < 0.3


def test_an_oddity_is_alone_on_its_side() -> None:
    schedule = Schedule(defect_share=1, oddity_share=0.5)
    sides = [schedule.faults(index, "left") for index in range(100)]
    assert {len(faults) for faults in sides if any(fault.odd for fault in faults)} == {1}


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_has_its_own_defects(look: str) -> None:
    schedule = Schedule(defect_share=1, oddity_share=0, look=look)
    names = {fault.name for index in range(300) for fault in schedule.faults(index, "left")}
    assert names == {*LOOKS[look]}


def test_bare_boards_have_no_oddities() -> None:
    schedule = Schedule(defect_share=0, oddity_share=1, look=BARE)
    assert not any(schedule.faults(index, "left") for index in range(100))


def test_truth_is_the_worst_of_both_sides() -> None:
    taxonomy, schedule = load_taxonomy(DEFAULT_TAXONOMY), Schedule(seed=3, defect_share=0.6, oddity_share=0)
    for index in range(200):
        severities = {taxonomy.classes[fault.name] for fault in schedule.faults_of_board(index, SIDES)}
        expected = next((each for each in ("scrap", "solder", "component") if each in severities), "normal")
        assert schedule.truth(index, SIDES, taxonomy) == expected


def test_an_oddity_is_for_a_person_to_look_at() -> None:
    taxonomy, schedule = load_taxonomy(DEFAULT_TAXONOMY), Schedule(defect_share=0, oddity_share=1)
    assert {schedule.truth(index, SIDES, taxonomy) for index in range(20)} == {"component"}
    other = taxonomy.model_copy(update={"unknown_anomaly": "scrap"})
    assert schedule.truth(0, SIDES, other) == "scrap"


@pytest.mark.parametrize("other", [Schedule(epoch_ns=NS_PER_S), Schedule(epoch_ns=77 * NS_PER_S)])
def test_board_ids_differ_between_runs(other: Schedule) -> None:
    assert Schedule().board_id(5) != other.board_id(5)


def test_the_query_of_a_camera_names_every_option() -> None:
    query = parse_qs(Schedule(5, 2.5, 123, 0.25, "bare", 7, 0.125, 0.5, 0.05, "qr").query)
    assert (query.pop("look"), query.pop("serials")) == (["bare"], ["qr"])
    assert query.pop("product") == ["7"]
    assert query.pop("oddity_share") == ["0.125"]
    assert (query.pop("standstill"), query.pop("margin")) == (["0.5"], ["0.05"])
    assert query == {"seed": ["5"], "rate": ["2.5"], "epoch_ns": ["123"], "defect_share": ["0.25"]}
