"""Sessions of our own against the real broker, quick to reconnect."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.peer import Peer, broker_login

from broker import Broker
from pcb_bus.mqtt.session import SessionOptions, Subscription

OpenPeer = Callable[..., Peer]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules, in less time."""
    monkeypatch.setattr("pcb_bus.mqtt.session._BACKOFF_S", (0.02, 0.03))
    monkeypatch.setattr("pcb_bus.mqtt.session._BACKOFF_MAX_S", (0.3, 0.4))
    monkeypatch.setattr("pcb_bus.mqtt.session._WATCHDOG_S", 0.05)


@pytest.fixture
def peer(broker: Broker) -> Iterator[OpenPeer]:
    """Opens connected sessions by role: `peer("recorder", Subscription(…), durable=True)`."""
    with ExitStack() as opened:

        def open_peer(role: str, *interests: Subscription, durable: bool = False) -> Peer:
            made = Peer(role, broker_login(broker, role), SessionOptions(durable=durable), *interests)
            opened.callback(made.session.stop, flush_s=0)
            made.wait_up()
            return made

        yield open_peer
