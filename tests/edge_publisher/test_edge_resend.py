"""A resend that was answered with an error is never carried out."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hand_fed import picture

from edge_publisher import on_trigger
from edge_publisher.encoder import Encoder
from edge_publisher.on_trigger import OnTrigger
from edge_publisher.outgoing import FrameSender
from edge_publisher.settings import EdgeLineSettings, EdgeSettings
from pcb_bus.contract.messages import Command
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S
from pcb_bus.errors import CommandFailed
from pcb_bus.runtime.service import Request, Service
from pcb_bus.runtime.settings import BrokerSettings

AT = 1000 * NS_PER_MS


class Edge:
    """The mode on its real parts, away from a broker; the test has its turn at `step` when it wants."""

    def __init__(self, folder: Path) -> None:
        broker = BrokerSettings(credentials=folder)
        settings = EdgeLineSettings(broker=broker, edge=EdgeSettings(side="left", trigger="mqtt"))
        self.sent: list[bytes] = []
        sender = FrameSender("left", Encoder(85, 1920), self._publish)
        self.awake = True
        self._mode = OnTrigger(Service("edge_publisher", "edge-left", settings), sender, 100 * NS_PER_MS, self._wake)

    def _publish(self, payload: bytes, *, on_done: Callable[[bool], object]) -> bool:
        self.sent.append(payload)
        return True

    def _wake(self) -> None:
        if self.awake:
            self.step()

    def step(self) -> None:
        self._mode.step([picture(AT)], AT)

    def ask(self, lives_s: float = 5) -> object:
        command = Command(command="resend", params={"board_id": "board-1", "triggered_at": AT})
        now = time.monotonic_ns()
        return self._mode._on_resend(Request(command, now, now + round(lives_s * NS_PER_S)))["frame_id"]


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    return Edge(tmp_path)


def test_it_is_carried_out_in_time(edge: Edge) -> None:
    assert edge.ask()
    assert len(edge.sent) == 1


def test_one_that_was_answered_as_too_busy_is_not_carried_out_later(
    edge: Edge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_trigger, "_REPLY_S", 0)
    edge.awake = False
    with pytest.raises(CommandFailed, match="too busy"):
        edge.ask()
    edge.step()
    assert edge.sent == []


def test_one_whose_time_ran_out_in_the_queue_is_not_carried_out(edge: Edge) -> None:
    with pytest.raises(CommandFailed, match="expired"):
        edge.ask(lives_s=-0.1)
    assert edge.sent == []
