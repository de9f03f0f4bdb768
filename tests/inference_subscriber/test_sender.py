"""A verdict is seen through to the broker, and only then its trigger is acknowledged."""

import threading
from collections.abc import Callable, Iterator

import pytest

from inference_subscriber.board import Board, BoardKey
from inference_subscriber.judge import Judge, Judged
from inference_subscriber.sender import VerdictSender
from pcb_bus.codec import encode_json
from pcb_bus.messages import ModelRef, Verdict
from pcb_bus.session import QUEUED_AT_BROKER
from pcb_bus.taxonomy import Taxonomy


class Outlet:
    """Stands for the session: takes what it is told to take, and answers when it is told to."""

    def __init__(self) -> None:
        self.takes = True
        self.taken: list[tuple[bytes, Callable[[bool], None]]] = []

    def publish(self, payload: bytes, on_done: Callable[[bool], None]) -> bool:
        if self.takes:
            self.taken.append((payload, on_done))
        return self.takes

    def answer(self, index: int, accepted: bool) -> None:
        self.taken[index][1](accepted)


class Acknowledged:
    """Receipts by name, and what has been acknowledged."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._changed = threading.Condition()

    def receipt(self, name: str) -> Callable[[], None]:
        def acknowledge() -> None:
            with self._changed:
                self.names.append(name)
                self._changed.notify_all()

        return acknowledge

    def wait_for(self, *names: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.names == list(names), 5), self.names


@pytest.fixture
def outlet() -> Outlet:
    return Outlet()


@pytest.fixture
def acknowledged() -> Acknowledged:
    return Acknowledged()


@pytest.fixture
def sender(outlet: Outlet) -> Iterator[VerdictSender]:
    sender = VerdictSender(outlet.publish, capacity=3)
    thread = threading.Thread(target=sender.run)
    thread.start()
    yield sender
    sender.stop(0)
    thread.join()


@pytest.fixture
def make_verdict(taxonomy: Taxonomy) -> Callable[[str], Verdict]:
    judge = Judge("pcb", ("left",), taxonomy, ModelRef(name="m", sha256="0" * 64), 1)
    return lambda board_id: judge.verdict(Board(BoardKey(board_id, 1), 0, None, 0, 1_000_000), Judged(10**9, 0))


MakeVerdict = Callable[[str], Verdict]


def test_a_trigger_is_acknowledged_after_the_broker_has_the_verdict(
    sender: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    sender.send(make_verdict("b"), [acknowledged.receipt("first"), acknowledged.receipt("repeat")])
    assert acknowledged.names == []
    outlet.answer(0, True)
    acknowledged.wait_for("first", "repeat")
    assert len(sender) == 0


@pytest.mark.parametrize("refused_by", ["paho", "broker"])
def test_a_refused_verdict_goes_out_again(
    sender: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict, refused_by: str
) -> None:
    outlet.takes = refused_by == "broker"
    sender.send(make_verdict("b"), [acknowledged.receipt("b")])
    if refused_by == "broker":
        outlet.answer(0, False)
    outlet.takes = True
    sender.retry()
    outlet.answer(-1, True)
    acknowledged.wait_for("b")
    sender.retry()
    assert len(outlet.taken) == (2 if refused_by == "broker" else 1)


def test_what_is_under_way_is_not_sent_twice(sender: VerdictSender, outlet: Outlet, make_verdict: MakeVerdict) -> None:
    sender.send(make_verdict("b"), [])
    sender.retry()
    assert len(outlet.taken) == 1


def test_of_two_verdicts_on_one_board_the_first_stands(
    sender: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    outlet.takes = False
    first = make_verdict("b")
    sender.send(first, [acknowledged.receipt("first")])
    sender.send(first.model_copy(update={"category": "scrap"}), [acknowledged.receipt("again")])
    outlet.takes = True
    sender.retry()
    assert [payload for payload, _ in outlet.taken] == [encode_json(first)]
    outlet.answer(0, True)
    acknowledged.wait_for("first", "again")


def test_a_repeated_trigger_waits_for_the_verdict_under_way(
    sender: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict("b")
    sender.send(verdict, [])
    sender.acknowledge(verdict.verdict_id, acknowledged.receipt("again"))
    assert acknowledged.names == []
    outlet.answer(0, True)
    acknowledged.wait_for("again")


def test_a_repeated_trigger_of_long_ago_is_acknowledged_at_once(
    sender: VerdictSender, acknowledged: Acknowledged
) -> None:
    sender.acknowledge("unknown", acknowledged.receipt("old"))
    acknowledged.wait_for("old")


def test_every_verdict_of_a_long_absence_goes_out(outlet: Outlet, make_verdict: MakeVerdict) -> None:
    sender, verdict = VerdictSender(outlet.publish), make_verdict("b")
    outlet.takes = False
    for number in range(QUEUED_AT_BROKER):
        sender.send(verdict.model_copy(update={"verdict_id": f"v{number}"}), [])
    outlet.takes = True
    for _ in range(100):
        sender.retry()
    assert len(outlet.taken) == QUEUED_AT_BROKER


def test_memory_is_bounded_and_a_verdict_given_up_leaves_its_trigger_with_the_broker(
    sender: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    outlet.takes = False
    for number in range(5):
        sender.send(make_verdict(f"b{number}"), [acknowledged.receipt(f"b{number}")])
    assert len(sender) == 3
    outlet.takes = True
    sender.retry()
    for index in range(3):
        outlet.answer(index, True)
    acknowledged.wait_for("b2", "b3", "b4")
