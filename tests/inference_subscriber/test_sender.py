"""A verdict is written down and seen through to the broker, and only when it is safe its trigger is acknowledged."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inference_subscriber.board import Board, BoardKey
from inference_subscriber.judge import Judge, Judged
from inference_subscriber.sender import VerdictSender
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import ModelRef, Verdict
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.durable.outbox import Bounds, Outbox
from pcb_bus.mqtt.session import QUEUED_AT_BROKER


class Outlet:
    """Stands for the session: takes what it is told to take, and answers when it is told to."""

    def __init__(self) -> None:
        self.takes = True
        self.taken: list[tuple[bytes, Callable[[bool], None]]] = []
        self.on_publish: Callable[[], None] = lambda: None

    def publish(self, payload: bytes, on_done: Callable[[bool], None]) -> bool:
        self.on_publish()
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
def full_outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "full.db", Bounds(payload_bytes=1))
    yield outbox
    outbox.close()


@contextmanager
def running(sender: VerdictSender) -> Iterator[VerdictSender]:
    thread = threading.Thread(target=sender.run)
    thread.start()
    yield sender
    sender.stop(0)
    thread.join()


@pytest.fixture
def sender(outlet: Outlet, outbox: Outbox) -> Iterator[VerdictSender]:
    with running(VerdictSender(outlet.publish, outbox, capacity=3)) as sender:
        yield sender


@pytest.fixture
def unsafe(outlet: Outlet, full_outbox: Outbox) -> Iterator[VerdictSender]:
    """A sender whose outbox takes nothing."""
    with running(VerdictSender(outlet.publish, full_outbox, capacity=3)) as sender:
        yield sender


@pytest.fixture
def make_verdict(taxonomy: Taxonomy) -> Callable[[str], Verdict]:
    judge = Judge("pcb", ("left",), taxonomy, ModelRef(name="m", sha256="0" * 64), 1)
    return lambda board_id: judge.verdict(Board(BoardKey(board_id, 1), 0, None, 0, 1_000_000), Judged(10**9, 0))


MakeVerdict = Callable[[str], Verdict]


def test_a_trigger_is_acknowledged_once_its_verdict_stands_and_not_before(
    sender: VerdictSender, outbox: Outbox, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict("b")
    outlet.on_publish = lambda: acknowledged.names.append(f"published, kept: {outbox.knows(verdict.verdict_id)}")
    sender.send(verdict, [acknowledged.receipt("first"), acknowledged.receipt("repeat")])
    acknowledged.wait_for("published, kept: True", "first", "repeat")
    assert len(sender) == 1
    outlet.answer(0, True)
    assert (len(sender), len(outbox)) == (0, 1)


def test_a_verdict_of_an_earlier_process_is_published_once_more_when_its_trigger_comes_back(
    outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict, tmp_path: Path
) -> None:
    verdict = make_verdict("b")
    crashed = Outbox(tmp_path / "outbox.db")
    crashed.keep(verdict.verdict_id, b"as it was written")
    crashed.close()
    outbox = Outbox(tmp_path / "outbox.db")
    with running(VerdictSender(outlet.publish, outbox)) as sender:
        assert sender.stands(verdict.verdict_id)
        sender.acknowledge(verdict.verdict_id, acknowledged.receipt("b"))
        acknowledged.wait_for("b")
        assert [payload for payload, _ in outlet.taken] == [b"as it was written"]
        outlet.answer(0, True)
        outbox.clear([verdict.verdict_id])
        assert sender.stands(verdict.verdict_id)
        sender.acknowledge(verdict.verdict_id, acknowledged.receipt("again"))
        acknowledged.wait_for("b", "again")
        assert len(outlet.taken) == 1
    outbox.close()


def test_without_room_in_the_outbox_a_verdict_goes_out_all_the_same(
    unsafe: VerdictSender, outlet: Outlet, full_outbox: Outbox, make_verdict: MakeVerdict
) -> None:
    unsafe.send(make_verdict("b"), [])
    assert (len(outlet.taken), full_outbox.fault) == (1, "the outbox is full")


def test_a_trigger_whose_verdict_is_not_kept_is_acknowledged_after_the_broker_has_it(
    unsafe: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    unsafe.send(make_verdict("b"), [acknowledged.receipt("first"), acknowledged.receipt("repeat")])
    assert acknowledged.names == []
    outlet.answer(0, True)
    acknowledged.wait_for("first", "repeat")
    assert len(unsafe) == 0


@pytest.mark.parametrize("refused_by", ["paho", "broker"])
def test_a_refused_verdict_goes_out_again(
    unsafe: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict, refused_by: str
) -> None:
    outlet.takes = refused_by == "broker"
    unsafe.send(make_verdict("b"), [acknowledged.receipt("b")])
    if refused_by == "broker":
        outlet.answer(0, False)
    outlet.takes = True
    unsafe.retry()
    outlet.answer(-1, True)
    acknowledged.wait_for("b")
    unsafe.retry()
    assert len(outlet.taken) == (2 if refused_by == "broker" else 1)


def test_what_is_under_way_is_not_sent_twice(unsafe: VerdictSender, outlet: Outlet, make_verdict: MakeVerdict) -> None:
    unsafe.send(make_verdict("b"), [])
    unsafe.retry()
    assert len(outlet.taken) == 1


@pytest.mark.parametrize("outbox_is", ["well", "full"])
def test_of_two_verdicts_on_one_board_the_first_stands(
    request: pytest.FixtureRequest,
    outlet: Outlet,
    acknowledged: Acknowledged,
    make_verdict: MakeVerdict,
    outbox_is: str,
) -> None:
    sender: VerdictSender = request.getfixturevalue("sender" if outbox_is == "well" else "unsafe")
    outlet.takes = False
    first = make_verdict("b")
    assert sender.send(first, [acknowledged.receipt("first")])
    assert not sender.send(first.model_copy(update={"category": "scrap"}), [acknowledged.receipt("again")])
    outlet.takes = True
    sender.retry()
    assert [payload for payload, _ in outlet.taken] == [encode_json(first)]
    outlet.answer(0, True)
    acknowledged.wait_for("first", "again")


def test_a_repeated_trigger_waits_for_the_verdict_under_way(
    unsafe: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    verdict = make_verdict("b")
    unsafe.send(verdict, [])
    unsafe.acknowledge(verdict.verdict_id, acknowledged.receipt("again"))
    assert acknowledged.names == []
    outlet.answer(0, True)
    acknowledged.wait_for("again")


def test_a_repeated_trigger_of_long_ago_is_acknowledged_at_once(
    unsafe: VerdictSender, acknowledged: Acknowledged
) -> None:
    unsafe.acknowledge("unknown", acknowledged.receipt("old"))
    acknowledged.wait_for("old")


def test_every_verdict_of_a_long_absence_goes_out(
    outlet: Outlet, full_outbox: Outbox, make_verdict: MakeVerdict
) -> None:
    sender, verdict = VerdictSender(outlet.publish, full_outbox), make_verdict("b")
    outlet.takes = False
    for number in range(QUEUED_AT_BROKER):
        sender.send(verdict.model_copy(update={"verdict_id": f"v{number}"}), [])
    outlet.takes = True
    for _ in range(100):
        sender.retry()
    assert len(outlet.taken) == QUEUED_AT_BROKER


def test_memory_is_bounded_and_a_verdict_given_up_leaves_its_trigger_with_the_broker(
    unsafe: VerdictSender, outlet: Outlet, acknowledged: Acknowledged, make_verdict: MakeVerdict
) -> None:
    outlet.takes = False
    for number in range(5):
        unsafe.send(make_verdict(f"b{number}"), [acknowledged.receipt(f"b{number}")])
    assert len(unsafe) == 3
    outlet.takes = True
    unsafe.retry()
    for index in range(3):
        outlet.answer(index, True)
    acknowledged.wait_for("b2", "b3", "b4")
