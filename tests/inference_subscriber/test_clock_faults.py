"""What the times of frames say of a camera's clock."""

from collections.abc import Callable

import pytest

from inference_subscriber.boards import Boards
from inference_subscriber.evidence import EvidenceSender
from inference_subscriber.joiner import Joiner, JoinOptions
from inference_subscriber.judge import Judge
from inference_subscriber.sender import VerdictSender
from pcb_bus.contract.messages import Frame, ModelRef, Trigger
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Outbox
from pcb_bus.mqtt.login import Login
from pcb_bus.mqtt.session import MqttSession
from pcb_bus.runtime.settings import BrokerSettings

MakeFrame = Callable[..., Frame]
SIDES = ("left", "right")


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def boards(taxonomy: Taxonomy, outbox: Outbox, evidence_outbox: Outbox, told: list[tuple[str, str]]) -> Boards:
    judge = Judge("pcb", SIDES, taxonomy, ModelRef(name="m", sha256="0" * 64), deadline_ns=NS_PER_S)
    sender = VerdictSender(lambda payload, on_done: True, outbox)
    session = MqttSession("boards", Login(BrokerSettings()))

    def note(side: str, fault: str) -> None:
        told.append((side, fault))

    evidence = EvidenceSender(session, Topics(), evidence_outbox, 0, lambda: None)
    return Boards(Joiner(SIDES, JoinOptions()), judge, sender, session, Topics(), evidence, note)


def test_each_change_is_told_once(boards: Boards, make_frame: MakeFrame, told: list[tuple[str, str]]) -> None:
    now = now_ns()
    for ahead_s in (3600, 3601, -5, -6, 0, 0):
        boards.in_time(make_frame("left", None, None, now + ahead_s * NS_PER_S), now)
    ahead, behind, right = told
    assert ahead == ("left", "the clock of edge-left is 3600.0 s ahead of this machine's: set up NTP on both")
    assert behind[1].startswith("a frame of left came 5.0 s after its capture: the clock of edge-left is behind")
    assert right == ("left", "")


def test_a_frame_that_was_asked_for_may_be_old(
    boards: Boards, make_frame: MakeFrame, told: list[tuple[str, str]]
) -> None:
    now = now_ns()
    at = now - 5 * NS_PER_S
    boards.announce(Trigger(board_id="b", triggered_at=at, source="eye"), lambda: None, now)
    assert boards.admit(make_frame("left", "b", at, at), now)
    assert told == []
