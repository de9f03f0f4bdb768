"""The memory of judged boards is bounded in number and time."""

from inference_subscriber.board import BoardKey
from inference_subscriber.finished import Finished
from pcb_bus.contract.times import NS_PER_S


def test_no_more_than_its_capacity() -> None:
    finished = Finished(3)
    for number in range(5):
        finished.add(BoardKey(f"b{number}", 1), now=number)
    assert len(finished) == 3
    assert finished.find(BoardKey("b1", 1), now=5) is None
    assert finished.find(BoardKey("b4", 1), now=5) is not None


def test_a_name_without_time_for_a_minute_and_a_pass_for_ever() -> None:
    finished = Finished(10)
    for key in (BoardKey("announced", 1), BoardKey("free", None)):
        finished.add(key, now=0)
    assert finished.find(BoardKey("announced", None), now=60 * NS_PER_S) is not None
    assert finished.find(BoardKey("announced", None), now=61 * NS_PER_S) is None
    assert finished.find(BoardKey("free", None), now=61 * NS_PER_S) is None
    assert finished.find(BoardKey("announced", 1), now=3600 * NS_PER_S) == BoardKey("announced", 1)


def test_a_key_without_time_finds_the_latest_pass() -> None:
    finished = Finished(10)
    finished.add(BoardKey("b", 1), now=1)
    finished.add(BoardKey("b", 2), now=2)
    assert finished.find(BoardKey("b", None), now=3) == BoardKey("b", 2)
    assert finished.find(BoardKey("b", 3), now=3) is None
