"""A person at the gates: asks for commands, and knows when the gates must be silent after the answers."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support.probe import Probe

from faults.books import Silence, TestPulse
from pcb_bus.contract.codec import encode_json
from pcb_bus.contract.messages import Command
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import BoardlineError, CommandFailed
from pcb_bus.mqtt.requests import Requester
from pcb_bus.mqtt.session import MqttSession

LOGIN, ACTUATOR = "operator", "actuator"
_PATIENCE_S = 1.0
_REACHED_S = 30.0
_CARRIED_OUT_S = 1.0  # an actuator that hears of a command has done it, or refused it, by then
_PULSE_MS = 20


class NotAsPromised(BoardlineError):
    """A service did what it should not, or left undone what it should have done."""


class Operator:
    """Speaks straight to the broker.

    Args:
        pins: of the gates, by category.

    Attributes:
        silences, tests: what the audit needs to know of the commands.
        carried_out: commands that should not have been, one line each.
    """

    def __init__(self, session: MqttSession, topics: Topics, pins: Mapping[str, int]) -> None:
        self.silences: list[Silence] = []
        self.tests: list[TestPulse] = []
        self.carried_out: list[str] = []
        self.topic = str(topics.command(ACTUATOR))
        self._session = session
        self._requester = Requester(session, topics, LOGIN)
        self._pins = pins

    def start(self) -> None:
        self._session.start()

    def stop(self) -> None:
        self._session.stop(flush_s=0)

    def ask(self, command: str, **params: Any) -> dict[str, Any]:
        """Raises CommandFailed: it was refused, or not answered."""
        return self._requester.ask(ACTUATOR, command, timeout=_PATIENCE_S, **params)

    def ask_surely(self, command: str) -> None:
        """Ask again and again, until it is answered.

        Raises:
            NotAsPromised: it never is.
        """
        deadline = time.monotonic() + _REACHED_S
        while time.monotonic() < deadline:
            with suppress(CommandFailed):
                self.ask(command)
                return
            self._session.wait_connected(_PATIENCE_S)
            time.sleep(0.1)
        raise NotAsPromised(f"the actuator does not answer {command}")

    @contextmanager
    def disarmed(self, why: str = "the gates were disarmed", within_s: float | None = None) -> Iterator[None]:
        """Within the block no gate may fire; afterwards the gates are armed as before.

        Args:
            within_s: the gates must be off so soon after the question, whatever the answer; None: once it is there.

        Raises:
            CommandFailed: nobody answers at the beginning.
            NotAsPromised: nor later.
        """
        asked_at = time.monotonic()
        try:
            self.ask("disarm")
        except CommandFailed:
            if within_s is None:
                raise
        took = time.monotonic() - asked_at
        try:
            with self.silence(why, 0.0 if within_s is None else within_s - took):
                yield
                self.check_disarmed()
        finally:
            self.ask_surely("arm")

    @contextmanager
    def silence(self, why: str, after_s: float = 0.0) -> Iterator[None]:
        """Within the block no gate may fire, from so many seconds after its beginning."""
        since = time.time_ns() + round(after_s * NS_PER_S)
        try:
            yield
        finally:
            self.silences.append(Silence(since, time.time_ns(), why))

    def test_pulse(self, category: str) -> None:
        """Raises CommandFailed: as `ask`."""
        asked_at = time.time_ns()
        try:
            self.ask("test_pulse", category=category, duration_ms=_PULSE_MS)
        finally:
            self.tests.append(TestPulse(self._pins[category], asked_at, time.time_ns()))

    def check_disarmed(self) -> None:
        """Once whatever was on its way has been carried out, or not: they are if a test is allowed.

        Raises:
            NotAsPromised: the actuator does not answer.
        """
        self.ask_surely("ping")
        time.sleep(_CARRIED_OUT_S)
        try:
            self.test_pulse(next(iter(self._pins)))
        except CommandFailed as refusal:
            self.carried_out.append(f"{datetime.now(UTC):%H:%M:%S}, after a disarm that nobody took back: {refusal}")

    def ask_in_vain(self, rng: Random, foreign: Probe) -> list[MQTTMessageInfo]:
        """Everything that moves a gate, asked by ourselves and by a foreign client, whose library says it again later.

        Raises:
            NotAsPromised: it is answered although nobody can have heard it.
        """
        sent = [foreign.client.publish(self.topic, *_expiring(each)) for each in self.dangerous]
        category = rng.choice(sorted(self._pins))
        for name, ask in (("arm", partial(self.ask, "arm")), ("test_pulse", partial(self.test_pulse, category))):
            with suppress(CommandFailed):
                ask()
                raise NotAsPromised(f"{name} was answered, although nobody can have heard it")
        return sent

    @property
    def dangerous(self) -> list[Command]:
        """Everything that moves a gate."""
        tests = [Command(command="test_pulse", params={"category": each}) for each in self._pins]
        return [Command(command="arm"), *tests]


def _expiring(command: Command) -> tuple[bytes, int, bool, Properties]:
    """What `publish` takes of a command whose asker soon gives up."""
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = round(_PATIENCE_S)
    expires_at = time.time_ns() + round(_PATIENCE_S * NS_PER_S)
    return encode_json(command.model_copy(update={"expires_at": expires_at})), 1, False, properties
