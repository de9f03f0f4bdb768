"""A trigger stays with its source until the recorder names it, whatever the broker acknowledged and lost."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from support.peer import broker_login, until
from support.probe import Probe
from support.recording import lose_everything, recorded, recording

from broker import Broker
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Recorded, Trigger
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Bounds, Outbox
from pcb_bus.durable.resending import Pace
from pcb_bus.durable.trigger_source import TriggerSource
from pcb_bus.mqtt.session import MqttSession
from records.tables import Trigger as TriggerRow

OpenSource = Callable[..., TriggerSource]
QUICK = Pace(after_ns=100 * NS_PER_MS, gap_ns=10 * NS_PER_MS)
NEVER = Pace(after_ns=3600 * NS_PER_S)


@pytest.fixture
def open_source(broker: Broker, tmp_path: Path) -> Iterator[OpenSource]:
    """Starts a source of triggers on this test's outbox; all end with the test."""

    def opened(pace: Pace = QUICK, bounds: Bounds | None = None) -> TriggerSource:
        outbox = stack.enter_context(closing(Outbox(tmp_path / "outbox.db", bounds)))
        session = MqttSession("photo-eye", broker_login(broker, "trigger"))
        source = TriggerSource(session, Topics(), outbox, pace=pace)
        session.start()
        stack.callback(session.stop, flush_s=0)
        source.start()
        stack.callback(source.stop)
        assert session.wait_connected(10)
        return source

    with ExitStack() as stack:
        yield opened


@pytest.fixture
def recorder(mqtt_probe: Callable[..., Probe]) -> Probe:
    """A recorder that says nothing but what it is told to say."""
    probe = mqtt_probe("recorder")
    probe.subscribe("pcb/trigger", "pcb/resend/trigger")
    return probe


def trigger(board_id: str) -> Trigger:
    return Trigger(board_id=board_id, triggered_at=now_ns() // NS_PER_MS * NS_PER_MS, source="photo-eye")


def identity(of: Trigger) -> str:
    return verdict_id("pcb", of.board_id, of.triggered_at)


def name(recorder: Probe, *triggers: Trigger) -> None:
    recorder.publish("pcb/recorded", encode_json(Recorded(triggers=tuple(map(identity, triggers)))))


def test_a_trigger_is_announced_once_and_said_again_to_the_recorder_until_it_is_named(
    open_source: OpenSource, recorder: Probe
) -> None:
    source, board = open_source(), trigger("b1")
    assert source.send(board)
    again = recorder.wait_for_count("pcb/resend/trigger", 3)
    assert {each.payload for each in again} == {encode_json(board)}
    name(recorder, board)
    until(lambda: source.waiting == 0)
    assert [each.payload for each in recorder.received("pcb/trigger")] == [encode_json(board)]


def test_the_verdict_of_the_same_pass_does_not_speak_for_its_trigger(open_source: OpenSource, recorder: Probe) -> None:
    source, first, second = open_source(), trigger("b1"), trigger("b2")
    source.send(first)
    source.send(second)
    recorder.publish("pcb/recorded", encode_json(Recorded(verdicts=(identity(first),), actuations=(identity(first),))))
    name(recorder, second)
    until(lambda: source.waiting == 1)
    count = len(recorder.received("pcb/resend/trigger"))
    later = recorder.wait_for_count("pcb/resend/trigger", count + 2)[-1]
    assert later.payload == encode_json(first)


def test_a_sensor_that_bounces_is_kept_once(open_source: OpenSource, recorder: Probe) -> None:
    source, board = open_source(NEVER), trigger("b1")
    assert source.send(board)
    assert source.send(board)
    assert source.waiting == 1
    name(recorder, board)
    until(lambda: source.waiting == 0)
    assert source.send(board)
    assert source.waiting == 0


def test_a_full_outbox_holds_no_board_up_and_is_told(
    open_source: OpenSource, recorder: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    source, boards = open_source(QUICK, Bounds(rows=1)), [trigger("b1"), trigger("b2")]
    assert all(source.send(board) for board in boards)
    heard = recorder.wait_for_count("pcb/trigger", 2)
    assert [each.payload for each in heard] == [encode_json(board) for board in boards]
    assert source.waiting == 1
    until(lambda: "the outbox takes no more" in caplog.text)


def test_a_broker_that_loses_everything_loses_no_trigger(
    open_source: OpenSource, broker: Broker, tmp_path: Path
) -> None:
    source, boards = open_source(), [trigger(f"b{number}") for number in range(20)]
    with recording(broker, tmp_path):
        pass  # it has a session at the broker from now on, in which the triggers wait
    for board in boards:
        source.send(board)
    lose_everything(broker)
    with recording(broker, tmp_path):
        until(lambda: source.waiting == 0, timeout=20)
    assert recorded(tmp_path, TriggerRow.verdict_id) == sorted(map(identity, boards))
