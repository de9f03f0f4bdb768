import threading

from pcb_bus.runtime.queues import Inbox


def test_first_in_first_out() -> None:
    inbox: Inbox[int] = Inbox(10)
    for number in range(4):
        inbox.put(number)
    assert inbox.take() == 0
    assert inbox.take_many(2) == [1, 2]
    assert len(inbox) == 1


def test_when_full_the_oldest_gives_way_and_somebody_hears_of_it() -> None:
    dropped: list[int] = []
    inbox = Inbox(2, dropped.append)
    for number in range(5):
        inbox.put(number)
    assert dropped == [0, 1, 2]
    assert inbox.take_many(9) == [3, 4]


def test_an_empty_inbox_gives_nothing_after_the_timeout() -> None:
    assert Inbox[int](1).take(timeout=0) is None
    assert Inbox[int](1).take_many(5, timeout=0) == []


def test_a_waiting_taker_is_woken_by_an_item() -> None:
    inbox: Inbox[str] = Inbox(1)
    threading.Timer(0.01, inbox.put, ["board"]).start()
    assert inbox.take(timeout=10) == "board"


def test_a_waiting_taker_is_woken_by_the_end() -> None:
    inbox: Inbox[str] = Inbox(1)
    threading.Timer(0.01, inbox.close).start()
    assert inbox.take(timeout=10) is None
    assert inbox.closed


def test_what_is_inside_at_the_end_can_still_be_taken() -> None:
    inbox: Inbox[int] = Inbox(2)
    inbox.put(1)
    inbox.close()
    assert inbox.take() == 1
    assert inbox.take() is None


def test_whoever_hears_of_a_dropped_item_may_use_the_inbox() -> None:
    heard: list[int] = []

    def on_drop(item: int) -> None:
        heard.append(item)
        heard.extend(inbox.take_many(9, timeout=0))

    inbox: Inbox[int] = Inbox(1, on_drop)
    inbox.put(1)
    inbox.put(2)
    assert heard == [1, 2]
