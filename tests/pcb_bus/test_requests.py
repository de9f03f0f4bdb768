"""What a requester was told that it failed is not carried out later, whatever the broker does meanwhile."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support.peer import WAIT_S, broker_settings, until
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Command
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import CommandFailed
from pcb_bus.mqtt.requests import Requester
from pcb_bus.runtime.service import Request, Service
from pcb_bus.runtime.settings import LineSettings

OpenProbe = Callable[..., Probe]
LONG_S = 3600.0  # for an answer that comes at once


class Line:
    """A gate that pulses by command, and somebody who asks it to."""

    def __init__(self, broker: Broker) -> None:
        login = broker_settings(broker)
        settings = LineSettings(broker=login)
        self.pulses = 0
        self.dashboard = Service("dashboard", "dashboard", settings)
        self.requester = Requester(self.dashboard.session, settings.topics, "dashboard")
        self.gate = Service("actuator", "actuator", settings)
        self.gate.command("test_pulse", self._pulse)

    def _pulse(self, _: Request) -> dict[str, Any]:
        self.pulses += 1
        return {"pin": 22}

    def wait_up(self) -> None:
        """Until both are connected, and a command comes through: after whatever was sent before."""
        until(lambda: self.dashboard.session.connected and self.gate.session.connected)
        assert self.requester.ask("actuator", "ping") == {}


@pytest.fixture
def line(broker: Broker) -> Iterator[Line]:
    made = Line(broker)
    with ExitStack() as ending:
        for each in (made.dashboard, made.gate):
            each.start()
            ending.callback(each.stop)
        made.wait_up()
        yield made


def test_a_result_comes_back(line: Line) -> None:
    assert line.requester.ask("actuator", "test_pulse") == {"pin": 22}
    assert line.pulses == 1


def test_a_node_that_is_not_there_does_not_answer(line: Line) -> None:
    with pytest.raises(CommandFailed, match=r"^edge-right did not answer ping within 0\.05 s$"):
        line.requester.ask("edge-right", "ping", timeout=0.05)


def test_a_command_says_when_its_asker_gives_up(line: Line, mqtt_probe: OpenProbe) -> None:
    edge = mqtt_probe("edge-left")
    edge.subscribe("pcb/command/edge-left")
    before = now_ns()
    with pytest.raises(CommandFailed):
        line.requester.ask("edge-left", "resend", timeout=0.05)
    message = edge.wait_for("pcb/command/edge-left")
    expires_at = decode_json(Command, message.payload).expires_at
    assert expires_at is not None
    assert before + 0.049 * NS_PER_S <= expires_at < before + WAIT_S * NS_PER_S
    assert message.properties is not None
    assert message.properties.json()["MessageExpiryInterval"] == 1
    assert message.qos == 0


def test_an_answer_that_is_nonsense_is_told_as_such(line: Line, mqtt_probe: OpenProbe) -> None:
    edge = mqtt_probe("edge-left")

    def answer(client: Client, _: object, message: MQTTMessage) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = getattr(message.properties, "CorrelationData", None)
        client.publish("pcb/reply/dashboard", b"[]", properties=properties)

    edge.client.on_message = answer
    edge.subscribe("pcb/command/edge-left")
    with pytest.raises(CommandFailed, match=r"^edge-left answered nonsense: schema: "):
        line.requester.ask("edge-left", "ping")


def test_while_the_broker_is_away_a_question_fails_at_once_and_nothing_comes_of_it(line: Line, broker: Broker) -> None:
    broker.stop()
    until(lambda: not line.dashboard.session.connected)
    with pytest.raises(CommandFailed, match=r"^test_pulse was not sent to actuator: there is no connection to the bro"):
        line.requester.ask("actuator", "test_pulse", timeout=LONG_S)
    broker.start()
    line.wait_up()
    assert line.pulses == 0


def test_a_command_that_a_frozen_broker_brings_too_late_is_not_carried_out(line: Line, broker: Broker) -> None:
    with broker.frozen(), pytest.raises(CommandFailed, match="did not answer"):
        line.requester.ask("actuator", "test_pulse", timeout=0.2)
    line.wait_up()
    assert line.pulses == 0


def test_a_command_that_went_down_with_the_broker_is_not_said_again(line: Line, broker: Broker) -> None:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    with pytest.raises(CommandFailed, match="did not answer"):
        line.requester.ask("actuator", "test_pulse", timeout=0.2)
    broker.kill()
    until(lambda: not line.dashboard.session.connected)
    broker.start()
    line.wait_up()
    assert line.pulses == 0
