"""The memory of judged boards is bounded in number and time."""

from inference_subscriber.board import BoardKey
from inference_subscriber.finished import Finished
from pcb_bus.clock import NS_PER_S


def test_no_more_than_its_capacity() -> None:
    finished = Finished(3)
    for number in range(5):
        finished.add(BoardKey(f"b{number}", 1), now=number)
    assert len(finished) == 3
    assert finished.find(BoardKey("b1", 1)) is None
    assert finished.find(BoardKey("b4", 1)) is not None


def test_for_a_minute() -> None:
    finished = Finished(10)
    finished.add(BoardKey("old", 1), now=0)
    finished.add(BoardKey("new", 1), now=61 * NS_PER_S)
    assert finished.find(BoardKey("old", None)) is None
    assert len(finished) == 1


def test_a_key_without_time_finds_the_latest_pass() -> None:
    finished = Finished(10)
    finished.add(BoardKey("b", 1), now=1)
    finished.add(BoardKey("b", 2), now=2)
    assert finished.find(BoardKey("b", None)) == BoardKey("b", 2)
    assert finished.find(BoardKey("b", 3)) is None
