from itertools import permutations

import pytest

from pcb_bus.mqtt.receipts import Receipts


class Answers:
    """What publishers and the log were told."""

    def __init__(self) -> None:
        self.done: list[bool] = []
        self.refused: list[tuple[str, str]] = []
        self.receipts = Receipts(lambda kind, failure: self.refused.append((kind, failure)))


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.mark.parametrize("early", [True, False])
def test_publish_and_answer_meet_in_either_order(answers: Answers, early: bool) -> None:
    if early:
        answers.receipts.settle(1, None)
    answers.receipts.expect(1, 1, "verdict", answers.done.append)
    if not early:
        answers.receipts.settle(1, None)
    assert answers.done == [True]
    assert answers.receipts.wait_until_empty(0)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_every_publisher_hears_once_in_any_order(answers: Answers, order: tuple[int, ...]) -> None:
    heard: list[tuple[int, bool]] = []
    steps = [
        lambda: answers.receipts.expect(1, 1, "verdict", lambda ok: heard.append((1, ok))),
        lambda: answers.receipts.settle(1, "Not authorized"),
        lambda: answers.receipts.expect(2, 1, "event", lambda ok: heard.append((2, ok))),
        lambda: answers.receipts.settle(2, None),
    ]
    for index in order:
        steps[index]()
    assert sorted(heard) == [(1, False), (2, True)]
    assert answers.refused == [("verdict", "Not authorized")]
    assert answers.receipts.wait_until_empty(0)


def test_a_lost_connection_answers_for_what_was_not_sent(answers: Answers) -> None:
    answers.receipts.expect(1, 0, "frame", answers.done.append)
    answers.receipts.expect(2, 1, "verdict", answers.done.append)
    assert answers.receipts.unsent == 1
    answers.receipts.forget_unsent()
    assert answers.done == [False]
    assert answers.receipts.unsent == 0
    assert not answers.receipts.wait_until_empty(0)  # the verdict is still to come


def test_an_early_answer_outlives_the_connection_that_brought_it(answers: Answers) -> None:
    answers.receipts.settle(1, None)
    answers.receipts.forget_unsent()
    answers.receipts.expect(1, 1, "verdict", answers.done.append)
    assert answers.done == [True]
