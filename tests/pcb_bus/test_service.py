"""What a service says of itself, hears, and answers, on a real broker."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from support.peer import WAIT_S, broker_settings, until
from support.probe import Probe, Received

from broker import Broker
from pcb_bus.contract.codec import decode_json, encode_json
from pcb_bus.contract.messages import Command, CommandReply, Event, NodeStatus, Recorded, Trigger, WireModel
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.durable.outbox import Bounds, Outbox
from pcb_bus.durable.resending import Pace, resend
from pcb_bus.errors import CommandFailed
from pcb_bus.mqtt.requests import Requester
from pcb_bus.mqtt.session import Delivery, SessionOptions
from pcb_bus.runtime.service import Request, Service
from pcb_bus.runtime.settings import LineSettings

Launch = Callable[..., Service]
OpenProbe = Callable[..., Probe]
COMMAND, STATUS, EVENT = "pcb/command/edge-left", "pcb/status/edge-left", "pcb/event/edge-left"
KINDS = ("config", "trigger", "command")
BOARD = encode_json(Trigger(board_id="b1", triggered_at=1, source="eye"))


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"boardline_{name}_total", labels) or 0.0


@pytest.fixture
def settings(broker: Broker) -> LineSettings:
    login = broker_settings(broker)
    return LineSettings(broker=login)


@pytest.fixture
def launch(settings: LineSettings) -> Iterator[Launch]:
    """Starts `edge-left` with what is declared on it, and waits until it hears; all of them end with the test."""
    with ExitStack() as ending:

        def started(declare: Callable[[Service], object] = lambda _: None, *, durable: bool = False) -> Service:
            made = Service("edge_publisher", "edge-left", settings, SessionOptions(durable=durable))
            declare(made)
            made.start()
            ending.callback(made.stop)
            assert made.session.wait_connected(WAIT_S)
            return made

        yield started


@pytest.fixture
def node(launch: Launch) -> Service:
    return launch()


@pytest.fixture
def requester(settings: LineSettings) -> Iterator[Requester]:
    dashboard = Service("dashboard", "dashboard", settings)
    made = Requester(dashboard.session, settings.topics, "dashboard")
    dashboard.start()
    assert dashboard.session.wait_connected(WAIT_S)
    yield made
    dashboard.stop()


@pytest.fixture
def viewer(mqtt_probe: OpenProbe) -> Probe:
    probe = mqtt_probe("viewer")
    probe.subscribe("pcb/status/+", "pcb/event/+")
    return probe


class Operator:
    """A foreign client that sends commands, and reads the answers."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        probe.subscribe("pcb/reply/operator")

    def send(
        self, command: str, retain: bool = False, expires_at: int | None = None, expiry_s: int | None = None
    ) -> None:
        """With the command as correlation data."""
        payload = encode_json(Command(command=command, expires_at=expires_at))
        properties: dict[str, Any] = {"ResponseTopic": "pcb/reply/operator", "CorrelationData": command.encode()}
        if expiry_s is not None:
            properties["MessageExpiryInterval"] = expiry_s
        self._probe.publish(COMMAND, payload, retain=retain, **properties)

    def answers(self, command: str, count: int = 1) -> list[CommandReply]:
        def is_answer(message: Received) -> bool:
            assert message.properties is not None
            return bool(message.properties.json()["CorrelationData"] == command.encode().hex())

        replies = self._probe.wait_for_count("pcb/reply/operator", count, is_answer)
        return [decode_json(CommandReply, each.payload) for each in replies]

    def answer(self, command: str) -> CommandReply:
        return self.answers(command)[0]


@pytest.fixture
def operator(mqtt_probe: OpenProbe) -> Operator:
    return Operator(mqtt_probe("operator"))


class Blockade:
    """Holds up a worker until the end of the test, or until it is opened."""

    def __init__(self) -> None:
        self.holds = threading.Event()
        self._open = threading.Event()

    def hold(self) -> None:
        self.holds.set()
        self._open.wait()

    def obey(self, _: Request) -> dict[str, Any]:
        self.hold()
        return {}

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def blockade() -> Iterator[Blockade]:
    made = Blockade()
    yield made
    made.open()


@pytest.fixture
def let_pass(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time passes for commands, by the monotonic clock."""
    passed = [0.0]

    def clock() -> int:
        return time.monotonic_ns() + round(sum(passed) * NS_PER_S)

    monkeypatch.setattr("pcb_bus.runtime.service.time", SimpleNamespace(monotonic_ns=clock, monotonic=time.monotonic))
    return passed.append


@pytest.fixture
def _quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pcb_bus.runtime.service._HEARTBEAT_S", 0.05)
    monkeypatch.setattr("pcb_bus.runtime.service._LOOK_S", 0.01)


def state(message: Received) -> str:
    return decode_json(NodeStatus, message.payload).state


# What it says of itself


def test_the_birth_is_retained(node: Service, mqtt_probe: OpenProbe, viewer: Probe) -> None:
    viewer.wait_for(STATUS)
    late = mqtt_probe("viewer")
    late.subscribe("pcb/status/+")
    message = late.wait_for(STATUS)
    status = decode_json(NodeStatus, message.payload)
    assert message.retain
    assert (status.state, status.service, status.node) == ("online", "edge_publisher", "edge-left")


def test_nothing_is_said_after_the_goodbye(
    node: Service, mqtt_probe: OpenProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_goodbye = node.session.stop

    def stop() -> None:
        node.health["camera"] = "a camera that fails too late"
        say_goodbye()

    monkeypatch.setattr(node.session, "stop", stop)
    node.stop()
    late = mqtt_probe("viewer")
    late.subscribe("pcb/status/+")
    assert state(late.wait_for(STATUS)) == "offline"


def test_a_fault_is_told_once_and_is_over_when_it_is_gone(node: Service, viewer: Probe) -> None:
    for _ in range(3):
        node.health["camera"] = "no camera"
    node.health["disk"] = "disk full"
    node.health["camera"] = ""
    node.health["disk"] = ""
    viewer.wait_for(STATUS, lambda each: state(each) == "degraded")
    viewer.wait_for(STATUS, lambda each: state(each) == "online" and not each.retain)
    degraded = [each for each in viewer.received(STATUS) if state(each) == "degraded"]
    details = [decode_json(NodeStatus, each.payload).detail for each in degraded]
    assert details == ["no camera", "no camera; disk full", "disk full"]


def test_after_an_outage_a_node_says_how_it_is_now(node: Service, broker: Broker, mqtt_probe: OpenProbe) -> None:
    broker.stop()
    node.health["camera"] = "no camera"
    broker.start()
    late = mqtt_probe("viewer")
    late.subscribe("pcb/status/+")
    late.wait_for(STATUS, lambda each: state(each) == "degraded")


@pytest.mark.usefixtures("_quick_heart")
def test_a_node_that_is_asked_all_the_time_still_says_that_it_lives(
    launch: Launch, requester: Requester, viewer: Probe
) -> None:
    launch()

    def beats() -> int:
        requester.ask("edge-left", "ping")
        return len(viewer.received(STATUS))

    assert any(beats() >= 4 for _ in range(2000))


@pytest.mark.usefixtures("_quick_heart")
def test_a_worker_that_is_stuck_is_told_while_the_heart_goes_on(
    launch: Launch, viewer: Probe, blockade: Blockade, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcb_bus.runtime.service._STUCK_S", 0.05)
    launch(lambda service: service.every(3600, blockade.hold, thread="ledger"))

    def is_stuck(message: Received) -> bool:
        status = decode_json(NodeStatus, message.payload)
        return (status.state, status.detail) == ("degraded", "ledger is stuck: a disk or device may hang")

    stuck = viewer.wait_for_count(STATUS, 5, is_stuck)[-1]
    blockade.open()
    viewer.wait_for(STATUS, lambda each: state(each) == "online" and each.at_ns > stuck.at_ns)


def test_goodbye_is_an_offline_status(node: Service, viewer: Probe) -> None:
    viewer.wait_for(STATUS, lambda each: state(each) == "online")
    node.stop()
    message = viewer.wait_for(STATUS, lambda each: state(each) == "offline")
    assert decode_json(NodeStatus, message.payload).detail == "stopped"


def test_an_event_is_published_and_logged(node: Service, viewer: Probe, caplog: pytest.LogCaptureFixture) -> None:
    node.event("warning", "camera gone", tries=3)
    event = decode_json(Event, viewer.wait_for(EVENT).payload)
    assert (event.level, event.source, event.message, event.details) == (
        "warning",
        "edge-left",
        "camera gone",
        {"tries": 3},
    )
    assert "camera gone" in caplog.text


# What it hears


def test_a_message_is_read_before_its_handler_sees_it(launch: Launch, mqtt_probe: OpenProbe) -> None:
    heard: list[tuple[Trigger, Delivery]] = []
    launch(lambda service: service.on(service.topics.trigger, Trigger, lambda *each: heard.append(each)))
    before = counted("messages_rejected", kind="trigger", reason="schema")
    sender = mqtt_probe("trigger")
    for payload in (b"{}", BOARD):
        sender.publish("pcb/trigger", payload)
    until(lambda: bool(heard))
    ((trigger, delivery),) = heard
    assert (trigger.board_id, delivery.payload) == ("b1", BOARD)
    assert counted("messages_rejected", kind="trigger", reason="schema") == before + 1


@pytest.mark.parametrize("thread", ["worker", None])
def test_what_is_retained_is_ignored_unless_it_is_wanted(
    launch: Launch, mqtt_probe: OpenProbe, thread: str | None
) -> None:
    wanted: list[Delivery] = []
    unwanted: list[Delivery] = []

    def declare(service: Service) -> None:
        service.on(service.topics.config, None, wanted.append, thread=thread, retained=True)
        service.on(service.topics.trigger, Trigger, lambda _, delivery: unwanted.append(delivery), thread=thread)

    sender = mqtt_probe("trigger")
    sender.publish("pcb/trigger", BOARD, retain=True)
    recorder = mqtt_probe("recorder")
    recorder.publish("pcb/config", b"{}", retain=True)
    launch(declare)
    before = counted("messages_rejected", kind="trigger", reason="retained")
    sender.publish("pcb/trigger", BOARD, retain=True)
    sender.publish("pcb/trigger", BOARD)
    until(lambda: bool(unwanted and wanted))
    assert [each.retain for each in (*unwanted, *wanted)] == [False, True]
    assert counted("messages_rejected", kind="trigger", reason="retained") == before + 1


def test_an_empty_payload_that_clears_a_topic_says_nothing(launch: Launch, mqtt_probe: OpenProbe) -> None:
    heard: list[bytes] = []

    def declare(service: Service) -> None:
        service.on(service.topics.config, None, lambda each: heard.append(each.payload), retained=True)
        service.on(service.topics.trigger, Trigger, lambda _, each: heard.append(each.payload))

    def rejected() -> float:
        reasons = ("not_json", "retained", "schema")
        return sum(counted("messages_rejected", kind=kind, reason=each) for kind in KINDS for each in reasons)

    launch(declare)
    before = rejected()
    recorder, sender = mqtt_probe("recorder"), mqtt_probe("trigger")
    recorder.publish("pcb/config", b"", retain=True)
    sender.publish("pcb/trigger", b"", retain=True)
    mqtt_probe("operator").publish(COMMAND, b"", retain=True)
    recorder.publish("pcb/config", b"{}")
    sender.publish("pcb/trigger", BOARD)
    until(lambda: len(heard) >= 2)
    assert sorted(heard) == sorted([b"{}", BOARD])
    assert rejected() == before


def test_when_too_much_comes_the_oldest_is_dropped_and_counted(
    launch: Launch, mqtt_probe: OpenProbe, blockade: Blockade
) -> None:
    heard: list[bytes] = []

    def slowly(delivery: Delivery) -> None:
        heard.append(delivery.payload)
        blockade.hold()

    launch(lambda service: service.on(service.topics.trigger, None, slowly, queue=2))
    before = counted("messages_dropped", kind="trigger", reason="queue_full")
    sender = mqtt_probe("trigger")
    sender.publish("pcb/trigger", b"0")
    assert blockade.holds.wait(WAIT_S)
    for number in range(1, 6):
        sender.publish("pcb/trigger", str(number).encode())
    until(lambda: counted("messages_dropped", kind="trigger", reason="queue_full") == before + 3)
    blockade.open()
    until(lambda: len(heard) == 3)
    assert heard == [b"0", b"4", b"5"]


def test_a_fault_in_a_handler_is_counted_and_told_and_the_next_message_is_heard(
    launch: Launch, mqtt_probe: OpenProbe, viewer: Probe
) -> None:
    heard: list[bytes] = []

    def handle(delivery: Delivery) -> None:
        if delivery.payload == b"bad":
            raise LookupError("a fault of ours")
        heard.append(delivery.payload)

    launch(lambda service: service.on(service.topics.trigger, None, handle, thread="boards"))
    before = counted("handler_errors", kind="boards")
    sender = mqtt_probe("trigger")
    for payload in (b"bad", b"good"):
        sender.publish("pcb/trigger", payload)
    event = decode_json(Event, viewer.wait_for(EVENT).payload)
    assert (event.level, event.message) == ("error", "an error in boards: what it was working on was skipped")
    assert event.details["error"] == "LookupError: a fault of ours"
    until(lambda: heard == [b"good"])
    assert counted("handler_errors", kind="boards") == before + 1


def test_what_never_reaches_its_handler_or_fails_in_it_does_not_come_again(
    launch: Launch, mqtt_probe: OpenProbe, requester: Requester, broker: Broker
) -> None:
    seen: list[str] = []

    def handle(trigger: Trigger, delivery: Delivery) -> None:
        seen.append(trigger.board_id)
        if trigger.board_id == "b1":
            raise LookupError("a fault of ours")
        if trigger.board_id != "kept":
            delivery.ack()

    def declare(service: Service) -> None:
        service.on(service.topics.trigger, Trigger, handle, manual_ack=True)

    node = launch(declare, durable=True)
    sender = mqtt_probe("trigger")
    sender.publish("pcb/trigger", b"{}")
    sender.publish("pcb/trigger", b"", retain=True)
    sender.publish("pcb/trigger", BOARD, retain=True)
    for name in ("b1", "kept", "b3"):
        sender.publish("pcb/trigger", encode_json(Trigger(board_id=name, triggered_at=1, source="eye")))
    until(lambda: seen == ["b1", "kept", "b3"])
    assert requester.ask("edge-left", "ping") == {}
    before = counted("messages_received", kind="trigger")
    broker.restart()
    until(lambda: len(seen) == 4)
    assert seen[3] == "kept"
    assert node.session.wait_connected(10)
    assert counted("messages_received", kind="trigger") == before + 1


# What it answers


def test_every_node_answers_ping(node: Service, requester: Requester) -> None:
    assert requester.ask("edge-left", "ping") == {}


def test_a_command_gets_its_parameters_and_gives_its_result(node: Service, requester: Requester) -> None:
    node.command("resend", lambda request: {"again": request.command.params})
    assert requester.ask("edge-left", "resend", board_id="b", triggered_at=5) == {
        "again": {"board_id": "b", "triggered_at": 5}
    }


class Pass(WireModel):
    """Parameters of the command `resend`, as its handler reads them."""

    board_id: str


def fail_in_words(_: Request) -> dict[str, Any]:
    raise ValueError("no such board")


def fail_by_mistake(request: Request) -> dict[str, Any]:
    return {"board": request.command.params["board_id"]}


def read_parameters(request: Request) -> dict[str, Any]:
    return {"board": request.read(Pass).board_id}


def answer_nonsense(_: Request) -> dict[str, Any]:
    return cast("dict[str, Any]", ["a list"])


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (fail_in_words, "edge-left: no such board"),
        (fail_by_mistake, "edge-left: fault in this node: KeyError: 'board_id'"),
        (read_parameters, "edge-left: schema: params.board_id: Field required"),
        (answer_nonsense, "edge-left: .*valid dictionary"),
    ],
)
def test_a_command_that_fails_says_so_and_the_node_lives_on(
    node: Service, requester: Requester, handler: Callable[[Request], dict[str, Any]], error: str
) -> None:
    node.command("resend", handler)
    with pytest.raises(CommandFailed, match=error):
        requester.ask("edge-left", "resend")
    assert requester.ask("edge-left", "ping") == {}


def test_an_unknown_command_is_answered_with_those_that_there_are(node: Service, requester: Requester) -> None:
    with pytest.raises(CommandFailed, match="unknown command; this node knows ping"):
        requester.ask("edge-left", "dance")


def test_a_foreign_client_may_ask(node: Service, mqtt_probe: OpenProbe) -> None:
    operator = mqtt_probe("operator")
    operator.subscribe("pcb/reply/operator")
    command = b'{"v": 1, "command": "ping"}'
    operator.publish(COMMAND, command, ResponseTopic="pcb/reply/operator", CorrelationData=b"7")
    reply = operator.wait_for("pcb/reply/operator")
    assert json.loads(reply.payload) == {"v": 1, "result": {}, "error": None}
    assert reply.properties is not None
    assert reply.properties.json()["CorrelationData"] == b"7".hex()


def test_a_command_that_is_nonsense_is_answered(node: Service, mqtt_probe: OpenProbe) -> None:
    operator = mqtt_probe("operator")
    operator.subscribe("pcb/reply/operator")
    operator.publish(COMMAND, b"{}", ResponseTopic="pcb/reply/operator")
    assert "command: Field required" in str(decode_json(CommandReply, operator.wait_for("pcb/reply/operator").payload))


@pytest.mark.parametrize(
    ("topic", "answered"),
    [
        ("pcb/reply/operator", True),
        ("pcb/reply/operator/7", True),
        ("pcb/reply/", False),
        ("pcb/event/edge-left", False),
        ("pcbs/reply/operator", False),
    ],
)
def test_answers_go_below_reply_and_nowhere_else(
    node: Service, mqtt_probe: OpenProbe, topic: str, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    publish = node.session.publish

    def note(to: object, *args: Any, **options: Any) -> bool:
        said.append(str(to))
        return publish(str(to), *args, **options)

    monkeypatch.setattr(node.session, "publish", note)
    operator = mqtt_probe("operator")
    operator.subscribe("pcb/reply/operator")
    for each in (topic, "pcb/reply/operator"):
        operator.publish(COMMAND, encode_json(Command(command="ping")), ResponseTopic=each)
    operator.wait_for_count("pcb/reply/operator", 2 if topic == "pcb/reply/operator" else 1)
    assert [each for each in said if each != STATUS] == [topic] * answered + ["pcb/reply/operator"]


# Which commands are too old


class Gates:
    """What the command `arm` does, and when it may."""

    def __init__(self) -> None:
        self.armed = 0
        self.disarmed = 0

    def arm(self, _: Request) -> dict[str, Any]:
        self.armed += 1
        return {}

    def disarm(self, _: Request) -> dict[str, Any]:
        self.disarmed += 1
        return {}

    def declare(self, service: Service) -> None:
        service.command("arm", self.arm)
        service.command("disarm", self.disarm, urgent=True)


@pytest.fixture
def gates() -> Gates:
    return Gates()


def test_a_retained_command_is_not_carried_out(launch: Launch, gates: Gates, operator: Operator) -> None:
    launch(gates.declare)
    operator.send("arm", retain=True)
    assert operator.answer("arm").error == "a retained command is not carried out"
    operator.send("arm")
    assert operator.answers("arm", 2)[1].error is None
    assert gates.armed == 1


def test_a_command_that_was_retained_before_the_node_came_is_not_carried_out(
    launch: Launch, gates: Gates, operator: Operator, broker: Broker, requester: Requester
) -> None:
    operator.send("arm", retain=True)
    node = launch(gates.declare)
    broker.restart()
    until(lambda: node.session.connected and requester._session.connected)
    assert requester.ask("edge-left", "ping") == {}
    assert gates.armed == 0


@pytest.mark.parametrize("late_s", [0.2, 3600])
def test_a_command_is_not_carried_out_after_its_time(
    launch: Launch, gates: Gates, operator: Operator, late_s: float
) -> None:
    launch(gates.declare)
    operator.send("arm", expires_at=now_ns() - round(late_s * NS_PER_S))
    text = operator.answer("arm").error or ""
    assert re.fullmatch(r"expired [0-9.]+ s ago, so it is not carried out: this node was busy, or the clocks .*", text)
    operator.send("arm", expires_at=now_ns() + 60 * NS_PER_S)
    assert operator.answers("arm", 2)[1].error is None
    assert gates.armed == 1


@pytest.mark.parametrize(
    ("lives_s", "waits_s", "obeyed"),
    [
        ((None, None), 4.5, 1),
        ((None, None), 5, 0),
        ((30, None), 5, 1),
        ((2, None), 3, 0),
        ((None, 30), 8, 1),
        ((None, 30), 31, 0),
        ((30, 10), 12, 0),
        ((10, 30), 12, 0),
    ],
)
def test_a_command_that_waited_for_longer_than_its_asker_is_not_carried_out(
    launch: Launch,
    gates: Gates,
    operator: Operator,
    blockade: Blockade,
    let_pass: Callable[[float], None],
    lives_s: tuple[int | None, int | None],
    waits_s: float,
    obeyed: int,
) -> None:
    def declare(service: Service) -> None:
        gates.declare(service)
        service.command("block", blockade.obey)

    launch(declare)
    operator.send("block")
    expiry, expires_in_s = lives_s
    expires_at = None if expires_in_s is None else now_ns() + expires_in_s * NS_PER_S
    operator.send("arm", expires_at=expires_at, expiry_s=expiry)
    operator.send("disarm")
    operator.answer("disarm")  # so they are all there
    let_pass(waits_s)
    blockade.open()
    answer = operator.answer("arm")
    assert (gates.armed, answer.error is None) == (obeyed, bool(obeyed))


@pytest.mark.usefixtures("blockade")
def test_an_urgent_command_is_obeyed_at_once_however_old_while_every_worker_is_stuck(
    launch: Launch, gates: Gates, operator: Operator, blockade: Blockade
) -> None:
    def declare(service: Service) -> None:
        gates.declare(service)
        service.command("block", blockade.obey)
        service.every(3600, blockade.hold)

    launch(declare)
    operator.send("block")
    for _ in range(101):
        operator.send("arm")
    operator.answer("arm")  # the queue is full
    operator.send("disarm", retain=True, expires_at=now_ns() - 3600 * NS_PER_S, expiry_s=1)
    assert operator.answer("disarm").error is None
    assert (gates.armed, gates.disarmed) == (0, 1)


def test_a_command_for_which_there_is_no_room_is_answered(
    launch: Launch, gates: Gates, operator: Operator, blockade: Blockade
) -> None:
    def declare(service: Service) -> None:
        gates.declare(service)
        service.command("block", blockade.obey)

    launch(declare)
    operator.send("block")
    assert blockade.holds.wait(WAIT_S)
    for _ in range(103):
        operator.send("arm")
    operator.answers("arm", 3)  # so they are all there
    blockade.open()
    errors = [each.error for each in operator.answers("arm", 103)]
    assert errors == ["this node is too busy: the command is not carried out"] * 3 + [None] * 100
    assert gates.armed == 100


def test_a_durable_node_hears_nothing_of_the_commands_of_its_absence(
    launch: Launch, gates: Gates, operator: Operator, requester: Requester
) -> None:
    launch(gates.declare, durable=True).stop()
    operator.send("arm")
    launch(gates.declare, durable=True)
    assert requester.ask("edge-left", "ping") == {}
    assert gates.armed == 0


# Its outbox


QUICK = Pace(after_ns=100 * NS_PER_MS, gap_ns=10 * NS_PER_MS)


@pytest.fixture
def outbox_path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def test_what_waits_in_its_outbox_goes_out_again_until_the_recorder_names_it(
    launch: Launch, mqtt_probe: OpenProbe, outbox_path: Path
) -> None:
    recorder = mqtt_probe("recorder")
    recorder.subscribe("pcb/resend/trigger")
    with closing(Outbox(outbox_path)) as outbox:
        launch(lambda service: resend(service, "trigger", outbox, QUICK)).worker("outbox").do(
            partial(outbox.keep, "b1", BOARD)
        )
        again = recorder.wait_for_count("pcb/resend/trigger", 2)
        assert {each.payload for each in again} == {BOARD}
        recorder.publish("pcb/recorded", b"no message")
        recorder.publish("pcb/recorded", encode_json(Recorded(verdicts=("b1",))))
        recorder.publish("pcb/recorded", encode_json(Recorded(triggers=("b1",))))
        until(lambda: len(outbox) == 0)


def test_an_outbox_that_fills_is_an_event_and_part_of_the_health(
    launch: Launch, viewer: Probe, outbox_path: Path
) -> None:
    with closing(Outbox(outbox_path, Bounds(rows=4))) as outbox:
        launch(lambda service: resend(service, "trigger", outbox, QUICK))
        for name in ("b1", "b2"):
            outbox.keep(name, BOARD)
        event = decode_json(Event, viewer.wait_for(EVENT).payload)
        assert (event.level, event.details) == ("warning", {"waiting": 2, "fault": None})
        status = viewer.wait_for(STATUS, lambda each: state(each) == "degraded")
        assert decode_json(NodeStatus, status.payload).detail == "the outbox is half full"
        outbox.clear(["b1", "b2"])
        viewer.wait_for(EVENT, lambda each: decode_json(Event, each.payload).level == "info")
        viewer.wait_for(STATUS, lambda each: state(each) == "online" and each.at_ns > status.at_ns)


def test_a_damaged_outbox_is_an_event_and_the_node_lives(launch: Launch, viewer: Probe, outbox_path: Path) -> None:
    outbox_path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    opened: list[Outbox] = []

    def declare(service: Service) -> None:
        opened.append(Outbox(outbox_path, key="edge.outbox", tell=partial(service.event, "critical")))
        resend(service, "trigger", opened[0])

    assert launch(declare).session.connected
    event = decode_json(Event, viewer.wait_for(EVENT).payload)
    assert event.level == "critical"
    assert re.match(r"edge\.outbox: .* is damaged \(file is not a database\); it is kept as ", event.message)
    opened[0].close()


@pytest.mark.usefixtures("_quick_heart")
def test_an_outbox_whose_disk_hangs_makes_the_node_degraded(
    launch: Launch, viewer: Probe, outbox_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcb_bus.runtime.service._STUCK_S", 0.05)
    with closing(Outbox(outbox_path)) as outbox:
        launch(lambda service: resend(service, "trigger", outbox, QUICK))
        with outbox._lock:  # as a thread that writes, and waits for the disk
            viewer.wait_for(STATUS, lambda each: b"outbox is stuck" in each.payload)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"command": "disarm"}',
        b'{"v": 1, "command": "disarm", "expires_at": "soon"}',
        b'{"v": 2, "command": "disarm"}',
    ],
)
def test_an_urgent_command_is_obeyed_though_something_else_is_wrong_with_it(
    launch: Launch, gates: Gates, mqtt_probe: OpenProbe, payload: bytes
) -> None:
    launch(gates.declare)
    probe = mqtt_probe("operator")
    probe.subscribe("pcb/reply/operator")
    for each in (payload.replace(b"disarm", b"arm"), payload):
        probe.publish("pcb/command/edge-left", each, ResponseTopic="pcb/reply/operator")
    refused, obeyed = probe.wait_for_count("pcb/reply/operator", 2)[:2]
    assert decode_json(CommandReply, refused.payload).error
    assert decode_json(CommandReply, obeyed.payload).error is None
    assert (gates.armed, gates.disarmed) == (0, 1)
