"""The stage that runs the network, and what it does when the network fails."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from inference_subscriber.boards import Boards
from inference_subscriber.detecting import DetectStage
from inference_subscriber.errors import EngineFault
from inference_subscriber.evidence import EvidenceSender
from inference_subscriber.inspecting import Inspector
from inference_subscriber.joiner import Joiner, JoinOptions
from inference_subscriber.judge import Judge
from inference_subscriber.pictures import Picture
from inference_subscriber.sender import VerdictSender
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Frame, Verdict
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.contract.times import now_ns
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Outbox
from pcb_bus.mqtt.login import Login
from pcb_bus.mqtt.session import MqttSession
from pcb_bus.runtime.queues import Inbox
from pcb_bus.runtime.settings import BrokerSettings

MakeFrame = Callable[..., Frame]
GOOD = np.full((48, 64, 3), 100, np.uint8)
BLACK = np.zeros((48, 64, 3), np.uint8)
STRANGE = np.zeros((0, 64, 3), np.uint8)
"""NumPy finds no brightest pixel in it: a ValueError, which the engine does not know as a fault of its own."""


class Bench:
    """A detect stage for a line of one side, with what it makes of pictures."""

    def __init__(
        self, make_frame: MakeFrame, engine: Any, taxonomy: Taxonomy, outbox: Outbox, evidence_outbox: Outbox
    ) -> None:
        self.verdicts: list[Verdict] = []
        self._make_frame = make_frame
        self._inbox: Inbox[Picture] = Inbox(100)
        judge = Judge("pcb", ("left",), taxonomy, engine.model, deadline_ns=1)
        joiner = Joiner(("left",), JoinOptions())
        session = MqttSession("bench", Login(BrokerSettings()))
        sender = VerdictSender(self._publish, outbox)
        evidence = EvidenceSender(session, Topics(), evidence_outbox, 0, lambda: None)
        self._boards = Boards(joiner, judge, sender, session, Topics(), evidence)
        self._stage = DetectStage(Inspector(engine), self._inbox, self._boards, max_batch=8)

    def run(self, *images: Any) -> None:
        """Show these pictures, one board each, and inspect them all."""
        for number, image in enumerate(images):
            frame = self._make_frame("left", f"b{number}", None, now_ns())
            assert self._boards.admit(frame, now_ns())
            self._inbox.put(Picture(frame, image))
        self._inbox.close()
        self._stage.run()

    def _publish(self, payload: bytes, on_done: Callable[[bool], None]) -> bool:
        self.verdicts.append(decode_json(Verdict, payload))
        return True


@pytest.fixture
def bench(make_frame: MakeFrame, red_spots: Any, taxonomy: Taxonomy, outbox: Outbox, evidence_outbox: Outbox) -> Bench:
    return Bench(make_frame, red_spots, taxonomy, outbox, evidence_outbox)


def test_one_bad_image_does_not_take_its_batch_with_it(bench: Bench) -> None:
    bench.run(GOOD, BLACK, GOOD)
    assert [verdict.board_id for verdict in bench.verdicts] == ["b0", "b2"]


def test_an_engine_that_always_fails_ends_the_service(bench: Bench) -> None:
    with pytest.raises(EngineFault):
        bench.run(*[BLACK] * 20)


def test_whatever_a_strange_picture_breaks_costs_its_own_board_only(bench: Bench) -> None:
    bench.run(GOOD, STRANGE, GOOD)
    assert [verdict.board_id for verdict in bench.verdicts] == ["b0", "b2"]


def test_a_good_image_in_between_forgives(bench: Bench) -> None:
    bench.run(*[BLACK] * 19, GOOD, *[BLACK] * 19)
    assert len(bench.verdicts) == 1


def test_the_verdict_tells_how_long_the_engine_was_busy(bench: Bench) -> None:
    bench.run(GOOD, GOOD)
    for verdict in bench.verdicts:
        assert verdict.timing is not None
        side = verdict.sides["left"]
        assert side is not None
        assert verdict.timing.inference_ms == pytest.approx(side.inference_time_ms)
