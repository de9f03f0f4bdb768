from itertools import permutations

import pytest

from pcb_bus.mqtt.receipts import Receipts


class Answers:
    """What publishers were told: None is accepted, empty is lost unsent."""

    def __init__(self) -> None:
        self.done: list[str | None] = []
        self.receipts = Receipts()


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.mark.parametrize("early", [True, False])
def test_publish_and_answer_meet_in_either_order(answers: Answers, early: bool) -> None:
    if early:
        answers.receipts.settle(1, None)
    answers.receipts.expect(1, 1, answers.done.append)
    if not early:
        answers.receipts.settle(1, None)
    assert answers.done == [None]
    assert answers.receipts.wait_until_empty(0)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_every_publisher_hears_once_in_any_order(answers: Answers, order: tuple[int, ...]) -> None:
    heard: list[tuple[int, str | None]] = []
    steps = [
        lambda: answers.receipts.expect(1, 1, lambda failure: heard.append((1, failure))),
        lambda: answers.receipts.settle(1, "Not authorized"),
        lambda: answers.receipts.expect(2, 1, lambda failure: heard.append((2, failure))),
        lambda: answers.receipts.settle(2, None),
    ]
    for index in order:
        steps[index]()
    assert sorted(heard) == [(1, "Not authorized"), (2, None)]
    assert answers.receipts.wait_until_empty(0)


def test_a_lost_connection_answers_for_what_was_not_sent(answers: Answers) -> None:
    answers.receipts.expect(1, 0, answers.done.append)
    answers.receipts.expect(2, 1, answers.done.append)
    assert answers.receipts.unsent == 1
    answers.receipts.forget_unsent()
    assert answers.done == [""]
    assert answers.receipts.unsent == 0
    assert not answers.receipts.wait_until_empty(0)  # the verdict is still to come


def test_an_early_answer_outlives_the_connection_that_brought_it(answers: Answers) -> None:
    answers.receipts.settle(1, None)
    answers.receipts.forget_unsent()
    answers.receipts.expect(1, 1, answers.done.append)
    assert answers.done == [None]
