"""Boards that nobody announces: which of them ride on the belt, and when they come."""

from pathlib import Path

from pcb_bus.contract.times import now_ns
from simulator.conveyor import Load, Unannounced
from simulator.schedule import Schedule


def test_the_boards_stand_in_the_file_before_the_first_one_comes(tmp_path: Path) -> None:
    schedule, came = Schedule(rate=20, epoch_ns=now_ns()), []

    def comes(index: int) -> None:
        assert Load.read(tmp_path / "load").carries(index)
        assert now_ns() >= schedule.comes_into_view_at(index)
        came.append(index)

    boards = Unannounced(schedule, tmp_path / "load", comes, 3)
    boards.start()
    assert boards.finished.wait(10)
    boards.stop()
    load = Load.read(tmp_path / "load")
    assert came == [load.first, came[0] + 1, load.last]
    assert not load.carries(came[-1] + 1)


def test_a_run_that_ends_early_leaves_those_on_the_belt_that_are_in_view(tmp_path: Path) -> None:
    schedule = Schedule(rate=0.01, epoch_ns=now_ns())
    boards = Unannounced(schedule, tmp_path / "load", lambda index: None)
    boards.start()
    boards.stop()
    load = Load.read(tmp_path / "load")
    assert load.last is not None
    assert not any(load.carries(index) for index in range(10))


def test_without_a_file_the_belt_is_empty(tmp_path: Path) -> None:
    assert not any(Load.read(tmp_path / "load").carries(index) for index in range(-5, 5))
    assert all(Load().carries(index) for index in range(-5, 5))


def test_a_board_comes_into_view_once_the_one_before_it_moves() -> None:
    schedule = Schedule(rate=2, standstill=0.4)
    moment = schedule.comes_into_view_at(7)
    assert schedule.index_at(moment) == 6
    assert schedule.offset_at(moment - 10**6) == 0
    assert schedule.offset_at(moment + 10**6) > 0
