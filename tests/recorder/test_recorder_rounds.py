"""Chores beside the recording: the failure of one harms no other, and each is tried again."""

import threading

import pytest
from support.peer import until

from recorder.errors import DatabaseDown
from recorder.oversight.rounds import Chore, Rounds


@pytest.mark.parametrize("failure", [DatabaseDown("away"), OSError("no disk"), ZeroDivisionError("ours")])
def test_a_chore_that_fails_harms_no_other_and_is_done_again(failure: Exception) -> None:
    tried, done, complaints = [], [], list[str]()

    def fail() -> None:
        tried.append(1)
        raise failure

    chores = [Chore("one", 0.01, fail), Chore("other", 0.01, lambda: done.append(1))]
    rounds = Rounds("rounds", chores, lambda kind, text: complaints.append(text))
    rounds.start()
    until(lambda: len(tried) > 2 and len(done) > 2)
    rounds.ask_to_stop()
    rounds.join(5)
    assert all(complaint.startswith("one: ") for complaint in complaints)
    assert bool(complaints) == (not isinstance(failure, ZeroDivisionError))


def test_what_is_to_be_done_at_the_end_is_done_once_more_and_nothing_else() -> None:
    at_end, other, done = [], [], threading.Event()
    chores = [Chore("last", 3600, lambda: at_end.append(1), at_end=True), Chore("other", 3600, lambda: other.append(1))]
    rounds = Rounds("rounds", [*chores, Chore("first round", 3600, done.set)], lambda kind, text: None)
    rounds.start()
    assert done.wait(5)
    rounds.ask_to_stop()
    rounds.join(5)
    assert (len(at_end), len(other)) == (2, 1)
