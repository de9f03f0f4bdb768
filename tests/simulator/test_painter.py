"""The next boards are drawn while nothing else is to do, and not all at once."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from pcb_bus.contract.times import NS_PER_MS, now_ns
from simulator.painter import DrawnAhead, Image
from simulator.schedule import Schedule


class Hand:
    """Draws nothing, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.changed = threading.Condition()

    def draw(self, index: int) -> Image:
        with self.changed:
            self.asked.append((index, now_ns()))
            self.changed.notify_all()
        return np.full((1, 1, 3), index, np.uint8)

    def wait_for(self, count: int) -> list[int]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= count, 10)
            return [index for index, _ in self.asked]


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def boards(hand: Hand) -> Iterator[DrawnAhead]:
    boards = DrawnAhead(Schedule(rate=2, epoch_ns=now_ns()), hand.draw)
    yield boards
    boards.close()


def test_the_next_board_is_there_before_it_is_asked_for(hand: Hand, boards: DrawnAhead) -> None:
    assert boards.boards([0], [1])[0][0, 0, 0] == 0
    assert hand.wait_for(2) == [0, 1]
    both = boards.boards([0, 1], [2])
    assert {index: int(each[0, 0, 0]) for index, each in both.items()} == {0: 0, 1: 1}
    assert hand.wait_for(3) == [0, 1, 2]


def test_no_board_is_drawn_twice(hand: Hand, boards: DrawnAhead) -> None:
    for _ in range(5):
        boards.boards([0], [1])
    assert hand.wait_for(2) == [0, 1]


def test_drawing_waits_until_the_last_board_was_judged(hand: Hand) -> None:
    schedule = Schedule(rate=2, epoch_ns=now_ns() + 50 * NS_PER_MS)
    boards = DrawnAhead(schedule, hand.draw)
    boards.boards([0], [1, 2])
    hand.wait_for(3)
    boards.close()
    assert hand.asked[2][1] >= schedule.trigger_time(0) + 190 * NS_PER_MS


def test_the_end_does_not_wait_for_the_next_board(hand: Hand) -> None:
    boards = DrawnAhead(Schedule(rate=0.001, epoch_ns=now_ns()), hand.draw)
    boards.boards([0], [1, 2])
    boards.close()


def test_a_board_that_comes_early_does_not_wait(hand: Hand) -> None:
    boards = DrawnAhead(Schedule(rate=0.001, epoch_ns=now_ns()), hand.draw)
    boards.boards([0], [1, 2])
    assert boards.boards([2])[2][0, 0, 0] == 2
    boards.close()
