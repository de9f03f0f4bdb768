"""What is kept of a board, over a real broker."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from prometheus_client import REGISTRY
from support.probe import Probe

from broker import Broker
from inference_subscriber.board import Inspected
from inference_subscriber.boards import Boards
from inference_subscriber.engines.base import Anomaly, Detection, Findings
from inference_subscriber.evidence import EvidenceSender
from inference_subscriber.joiner import Joiner, JoinOptions
from inference_subscriber.judge import Judge
from inference_subscriber.sender import VerdictSender
from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.messages import Evidence, Frame, ModelRef, Verdict, evidence_id
from pcb_bus.contract.taxonomy import UNKNOWN_ANOMALY, Taxonomy
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.contract.topics import Topics
from pcb_bus.durable.outbox import Bounds, Outbox
from pcb_bus.mqtt.session import MAX_PACKET_BYTES
from pcb_bus.runtime.service import Service
from pcb_bus.runtime.settings import BrokerSettings, LineSettings

SIDES = ("left", "right")
ODD = Findings((), Anomaly(0.8, (16.0, 8.0, 32.0, 24.0), np.full((6, 8), 204, np.uint8)))
MakeFrame = Callable[..., Frame]


@pytest.fixture
def node(broker: Broker) -> Iterator[Service]:
    login = BrokerSettings(port=broker.port, credentials=broker.credentials_folder)
    node = Service("inference", "inference", LineSettings(broker=login))
    node.start()
    assert node.session.wait_connected(10)
    yield node
    node.stop()


@pytest.fixture
def make_boards(node: Service, taxonomy: Taxonomy, outbox: Outbox, evidence_outbox: Outbox) -> Callable[..., Boards]:
    """Boards of a node that keeps a share of the normal ones; `before` sees each verdict before it goes."""

    def make(
        share: float = 0,
        before: Callable[[Verdict], None] = lambda verdict: None,
        pictures: Outbox = evidence_outbox,
    ) -> Boards:
        def publish(payload: bytes, on_done: Callable[[bool], None]) -> bool:
            before(decode_json(Verdict, payload))
            return node.session.publish(Topics().verdict, payload, on_done=on_done)

        judge = Judge("pcb", SIDES, taxonomy, ModelRef(name="m", sha256="0" * 64), NS_PER_S)
        evidence = EvidenceSender(node.session, Topics(), pictures, share, pictures.sync)
        sender = VerdictSender(publish, outbox)
        return Boards(Joiner(SIDES, JoinOptions()), judge, sender, node.session, Topics(), evidence)

    return make


@pytest.fixture
def boards(make_boards: Callable[..., Boards]) -> Boards:
    return make_boards()


@pytest.fixture
def reader(mqtt_probe: Callable[..., Probe]) -> Probe:
    probe = mqtt_probe("recorder")
    probe.subscribe("pcb/verdict", "pcb/evidence/+")
    return probe


def show(boards: Boards, make_frame: MakeFrame, jpeg: bytes = b"\xff\xd8", **found: Findings) -> None:
    at = now_ns()
    for side, findings in found.items():
        frame = make_frame(side, "b", at, at).model_copy(update={"jpeg": jpeg})
        assert boards.admit(frame, at)
        boards.deliver([(frame, Inspected(findings, 1.0))], 0, 1)


def kept(reader: Probe) -> dict[str, Evidence]:
    received = reader.wait_for_count("pcb/evidence/+", 2)
    return {each.side: each for each in (decode_msgpack(Evidence, each.payload) for each in received)}


def test_an_oddity_is_published_with_its_heat_map(boards: Boards, reader: Probe, make_frame: MakeFrame) -> None:
    show(boards, make_frame, left=ODD, right=Findings())
    verdict = decode_json(Verdict, reader.wait_for("pcb/verdict").payload)
    left, right = verdict.sides["left"], verdict.sides["right"]
    assert left is not None
    assert right is not None
    assert (verdict.category, verdict.confidence) == ("component", 0.8)
    assert [(box.class_name, box.x1, box.y1, box.x2, box.y2) for box in left.boxes] == [
        (UNKNOWN_ANOMALY, 16, 8, 32, 24)
    ]
    assert (left.anomaly_score, right.anomaly_score) == (0.8, None)
    evidence = kept(reader)
    assert evidence["right"].heat_map is None
    heat_map = evidence["left"].heat_map
    assert heat_map is not None
    picture = cv2.imdecode(np.frombuffer(heat_map, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape == (6, 8, 4)


def test_a_known_defect_carries_the_heat_map_as_well(boards: Boards, reader: Probe, make_frame: MakeFrame) -> None:
    short = Findings((Detection(1, 2, 3, 4, 0.9, "short"),), ODD.anomaly)
    show(boards, make_frame, left=short, right=Findings())
    verdict = decode_json(Verdict, reader.wait_for("pcb/verdict").payload)
    assert (verdict.category, verdict.confidence) == ("solder", 0.9)
    assert kept(reader)["left"].heat_map is not None


def test_findings_that_break_the_contract_make_an_unjudged_board(
    boards: Boards, reader: Probe, make_frame: MakeFrame
) -> None:
    """A network of a stranger's may be surer than sure; its boards have a verdict all the same."""
    show(boards, make_frame, left=Findings((Detection(1, 2, 3, 4, 1.5, "short"),)), right=Findings())
    verdict = decode_json(Verdict, reader.wait_for("pcb/verdict").payload)
    assert (verdict.board_id, verdict.category, verdict.status) == ("b", "unjudged", "incomplete")


def test_pictures_of_a_board_that_is_not_normal_are_kept_before_its_verdict_goes(
    make_boards: Callable[..., Boards], reader: Probe, make_frame: MakeFrame, evidence_outbox: Outbox
) -> None:
    known = list[bool]()

    def before(verdict: Verdict) -> None:
        known.extend(evidence_outbox.knows(evidence_id(verdict.verdict_id, side)) for side in SIDES)

    show(make_boards(before=before), make_frame, left=ODD, right=Findings())
    kept(reader)
    assert known == [True, True]
    assert {each.payload for each in evidence_outbox.waiting(0, 9, 9)} == {
        each.payload for each in reader.received("pcb/evidence/+")
    }


def test_pictures_of_a_normal_board_are_published_once(
    make_boards: Callable[..., Boards], reader: Probe, make_frame: MakeFrame, evidence_outbox: Outbox
) -> None:
    show(make_boards(share=1), make_frame, left=Findings(), right=Findings())
    assert len(kept(reader)) == 2
    assert len(evidence_outbox) == 0


def test_what_the_outbox_does_not_take_is_counted_and_published_all_the_same(
    make_boards: Callable[..., Boards], reader: Probe, make_frame: MakeFrame, tmp_path: Path
) -> None:
    before = not_kept()
    with closing(Outbox(tmp_path / "full.db", Bounds(payload_bytes=1))) as full:
        show(make_boards(pictures=full), make_frame, left=ODD, right=Findings())
    assert len(kept(reader)) == 2
    assert not_kept() - before == 2


def test_what_is_too_large_for_the_broker_goes_without_its_heat_map(
    boards: Boards, reader: Probe, make_frame: MakeFrame
) -> None:
    """Else it would stand before all others for ever."""
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    odd = Findings((), Anomaly(0.8, (16.0, 8.0, 32.0, 24.0), noise))
    show(boards, make_frame, jpeg=bytes(MAX_PACKET_BYTES - 1500), left=odd, right=Findings())
    assert kept(reader)["left"].heat_map is None


def not_kept() -> float:
    return REGISTRY.get_sample_value("boardline_outbox_not_kept_total", {"kind": "evidence"}) or 0
