"""A session of ours against the real broker, and ways to wait for it without sleeping."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from broker import Broker
from pcb_bus.contract.topics import Topics
from pcb_bus.mqtt.login import Login, read_login
from pcb_bus.mqtt.requests import Requester
from pcb_bus.mqtt.session import MqttSession, SessionOptions, Subscription
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.settings import BrokerSettings

WAIT_S = 10.0


class Peer:
    """A started session; `login` is that of `role`."""

    def __init__(
        self, role: str, login: Login, options: SessionOptions | None = None, *interests: Subscription
    ) -> None:
        self.role = role
        self.session = MqttSession(f"pcb-{role}", login, options)
        for each in interests:
            self.session.subscribe(each)
        self._ups: Inbox[bool] = Inbox(100)
        self.session.on_up(lambda: self._ups.put(True))
        self.session.start()

    def wait_up(self) -> None:
        """Wait for the next connect, and until the broker has read the subscriptions that were sent with it."""
        if not self._ups.take(WAIT_S) or not self.publish(f"pcb/event/{self.role}", b"here"):
            raise TimeoutError(f"{self.role} is not connected")

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> bool | None:
        """What the broker said of it; None when the session did not take it, or nothing was said."""
        answers: Inbox[bool] = Inbox(1)
        taken = self.session.publish(topic, payload, qos=qos, on_done=answers.put)
        return answers.take(WAIT_S) if taken else None


def broker_settings(broker: Broker) -> BrokerSettings:
    """How to reach the broker, and where its logins are."""
    return BrokerSettings(host=broker.host, port=broker.port, credentials=broker.credentials_folder)


def broker_login(broker: Broker, role: str) -> Login:
    """How to reach the broker with the login of `role`."""
    return read_login(broker_settings(broker), role)


@contextmanager
def commander(broker: Broker) -> Iterator[Requester]:
    """Sends commands with the login of the operator."""
    session = MqttSession("pcb-operator", broker_login(broker, "operator"))
    requester = Requester(session, Topics(), "operator")
    session.start()
    try:
        assert session.wait_connected(WAIT_S)
        yield requester
    finally:
        session.stop()


def until(condition: Callable[[], bool], timeout: float = WAIT_S) -> None:
    """Wait for something that tells nobody when it happens."""
    tick = threading.Event()
    for _ in range(round(timeout / 0.005)):
        if condition():
            return
        tick.wait(0.005)
    raise TimeoutError("it did not happen")
