"""A worker does one thing after the other, whatever comes, and what is due by the clock in between."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from prometheus_client import REGISTRY
from support.peer import WAIT_S, until

from pcb_bus.runtime.workers import Worker


class Turns:
    """What a worker did, in order; `hold` keeps it busy until `go_on`."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.holds = threading.Event()
        self._free = threading.Event()

    def of(self, name: str) -> Callable[[], None]:
        return lambda: self.done.append(name)

    def hold(self) -> None:
        self.holds.set()
        self._free.wait()

    def go_on(self) -> None:
        self._free.set()


@pytest.fixture
def turns() -> Iterator[Turns]:
    made = Turns()
    yield made
    made.go_on()


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("worker")
    yield made
    made.stop(WAIT_S)


def busy(worker: Worker, turns: Turns) -> None:
    """The worker is at something, and all that comes now waits."""
    worker.start()
    worker.do(turns.hold)
    assert turns.holds.wait(WAIT_S)


def test_what_comes_is_done_in_the_order_of_arrival_whichever_lane_it_takes(worker: Worker, turns: Turns) -> None:
    boards = worker.lane(9, turns.done.append, lambda _: None)
    commands = worker.lane(9, turns.done.append, lambda _: None)
    busy(worker, turns)
    boards("board 1")
    commands("arm")
    worker.do(turns.of("write"))
    boards("board 2")
    turns.go_on()
    worker.stop(WAIT_S)
    assert turns.done == ["board 1", "arm", "write", "board 2"]


def test_when_a_lane_is_full_the_oldest_gives_way_and_the_other_lanes_lose_nothing(
    worker: Worker, turns: Turns
) -> None:
    dropped: list[str] = []
    boards = worker.lane(2, turns.done.append, dropped.append)
    commands = worker.lane(2, turns.done.append, dropped.append)
    busy(worker, turns)
    for number in range(4):
        boards(f"board {number}")
    commands("arm")
    turns.go_on()
    worker.stop(WAIT_S)
    assert (turns.done, dropped) == (["board 2", "board 3", "arm"], ["board 0", "board 1"])


def test_what_is_due_by_the_clock_is_done_though_the_queue_is_never_empty(worker: Worker) -> None:
    looked = threading.Semaphore(0)

    def go_round() -> None:
        worker.do(go_round)

    worker.every(0.001, partial(looked.release, 1))
    for _ in range(10):
        worker.do(go_round)
    worker.start()
    assert all(looked.acquire(timeout=WAIT_S) for _ in range(5))


def test_what_comes_is_done_though_something_is_always_due(worker: Worker, turns: Turns) -> None:
    worker.every(0, lambda: None)
    worker.start()
    for number in range(5):
        worker.do(turns.of(str(number)))
    until(lambda: turns.done == ["0", "1", "2", "3", "4"])


def test_two_periods_each_have_their_own(worker: Worker, turns: Turns) -> None:
    worker.every(3600, turns.of("hourly"))
    worker.every(0.001, turns.of("often"))
    worker.start()
    until(lambda: turns.done.count("often") > 5)
    assert turns.done.count("hourly") == 1


def test_stop_finishes_what_waits_and_nothing_is_done_after_it(worker: Worker, turns: Turns) -> None:
    worker.every(0.0001, turns.of("look"))
    worker.start()
    for number in range(1000):
        worker.do(turns.of(str(number)))
    worker.stop(WAIT_S)
    done = [*turns.done]
    worker.do(turns.of("too late"))
    assert [each for each in done if each != "look"] == [str(number) for number in range(1000)]
    assert not worker.is_alive()
    assert turns.done == done


def test_stop_does_not_wait_for_a_worker_that_is_stuck(worker: Worker, turns: Turns) -> None:
    busy(worker, turns)
    worker.stop(timeout=0)
    assert worker.is_alive()


def test_a_worker_that_never_began_can_be_stopped() -> None:
    Worker("worker").stop(WAIT_S)


def test_how_long_a_worker_is_busy_shows_while_it_is(worker: Worker, turns: Turns) -> None:
    busy(worker, turns)
    before = worker.turn.busy_s()
    assert before > 0
    until(lambda: worker.turn.busy_s() > before)
    turns.go_on()
    until(lambda: worker.turn.busy_s() == 0)


def test_a_fault_is_counted_and_told_and_the_worker_goes_on(turns: Turns, caplog: pytest.LogCaptureFixture) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("boardline_handler_errors_total", {"kind": "ledger"}) or 0.0

    def fail() -> None:
        raise LookupError("a fault of ours")

    told: list[tuple[str, str]] = []
    worker = Worker("ledger", lambda name, error: told.append((name, str(error))))
    before = counted()
    worker.every(3600, fail)
    worker.do(fail)
    worker.do(turns.of("board"))
    worker.start()
    worker.stop(WAIT_S)
    assert turns.done == ["board"]
    assert (told, counted()) == ([("ledger", "a fault of ours")] * 2, before + 2)
    assert "fault in ledger" in caplog.text
