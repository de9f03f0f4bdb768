"""A broker whose limits a benchmark chooses, and sessions that send and count."""

import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from broker.config import Listeners
from broker.roles import roles_of
from broker.server import prepare
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Recorded
from pcb_bus.contract.topics import Topics, exactly
from pcb_bus.mqtt.login import read_login
from pcb_bus.mqtt.session import Delivery, MqttSession, Subscription
from pcb_bus.runtime.settings import BrokerSettings

TOPICS = Topics()
_READY_S = 10.0
_WINDOW = 500  # messages that a sender has under way


@contextmanager
def broker_with(directory: Path, port: int, changes: Mapping[str, str]) -> Iterator[BrokerSettings]:
    """Mosquitto with the line's configuration, but for `changes` by option; how to reach it."""
    directory.mkdir()
    command, _ = prepare(directory, Listeners(port), roles_of(TOPICS, ("left", "right")))
    _change(Path(command[-1]), changes)
    with (directory / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        yield BrokerSettings(port=port, credentials=directory / "credentials", keepalive_s=60)
    finally:
        process.kill()
        process.wait()


def _change(configuration: Path, changes: Mapping[str, str]) -> None:
    text = configuration.read_text()
    for option, value in changes.items():
        text, found = re.subn(rf"(?m)^{option} .*$", f"{option} {value}", text)
        if not found:
            raise ValueError(f"the configuration has no {option}")
    configuration.write_text(text)


@contextmanager
def session(role: str, broker: BrokerSettings, *interests: Subscription) -> Iterator[MqttSession]:
    """A connected session with the login of `role`."""
    made = MqttSession(f"bench-{role}", read_login(broker, role))
    for each in interests:
        made.subscribe(each)
    made.start()
    try:
        if not made.wait_connected(_READY_S):
            raise TimeoutError("the broker does not answer")
        yield made
    finally:
        made.stop()


def send(sender: MqttSession, payloads: Iterable[bytes]) -> None:
    """All of them as verdicts; returns once the broker has acknowledged each."""
    window = threading.Semaphore(_WINDOW)
    for payload in payloads:
        window.acquire()
        if not sender.publish(TOPICS.verdict, payload, on_done=lambda _: window.release()):
            raise ConnectionError("the broker is gone")
    for _ in range(_WINDOW):
        window.acquire()


class Progress:
    """Counts the verdicts that `pcb/recorded` has named."""

    def __init__(self) -> None:
        self._named: set[str] = set()
        self._changed = threading.Condition()

    @property
    def subscription(self) -> Subscription:
        return Subscription(exactly(TOPICS.recorded), self._hear)

    def wait_for(self, count: int, timeout: float) -> float:
        """The monotonic time at which so many were named.

        Raises:
            TimeoutError: they are not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._named) >= count, timeout):
                raise TimeoutError(f"{len(self._named)} of {count} verdicts were recorded in {timeout:g} s")
        return time.monotonic()

    def _hear(self, delivery: Delivery) -> None:
        with self._changed:
            self._named.update(decode_json(Recorded, delivery.payload).verdicts)
            self._changed.notify_all()
