"""Verdicts that survive: what stands in the outbox goes out again until the recorder has it, whatever is lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from support.peer import until
from support.probe import Probe
from support.recording import lose_everything, recorded, recording

from broker import Broker
from inference_subscriber.service import InferenceService
from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Evidence, Recorded, evidence_id
from pcb_bus.contract.times import NS_PER_MS, NS_PER_S, now_ns
from pcb_bus.durable.outbox import Outbox
from pcb_bus.durable.resending import Pace
from records.tables import DefectImage, Inspection

Line = Any  # see conftest
StartService = Callable[..., InferenceService]
QUICK = Pace(after_ns=100 * NS_PER_MS, gap_ns=10 * NS_PER_MS)
AGO_NS = 60 * NS_PER_S  # no frame can be had any more: such a board is judged at once


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def recorder(mqtt_probe: Callable[..., Probe]) -> Probe:
    """A recorder that says nothing but what it is told to say."""
    probe = mqtt_probe("recorder")
    probe.subscribe("pcb/resend/verdict", "pcb/event/inference", "pcb/status/inference")
    return probe


def name(recorder: Probe, *verdict_ids: str) -> None:
    recorder.publish("pcb/recorded", encode_json(Recorded(verdicts=verdict_ids)))


def judge_one(line: Line, board_id: str) -> dict[str, Any]:
    line.trigger(board_id, now_ns() - AGO_NS)
    verdict: dict[str, Any] = line.verdict_on(board_id)
    return verdict


def wait_online(line: Line, times: int = 1) -> None:
    line.viewer.wait_for_count("pcb/status/inference", times, lambda each: b'"online"' in each.payload)


def fill(path: Path, count: int, name: str = "old-{}") -> list[bytes]:
    """Leave messages in the outbox, as an earlier process would; their payloads, oldest first."""
    outbox = Outbox(path)
    payloads = [f"old {number}".encode() for number in range(count)]
    outbox._db.execute("PRAGMA synchronous = OFF")  # for the sake of this test's time
    for number, payload in enumerate(payloads):
        outbox.keep(name.format(number), payload)
    outbox.close()
    return payloads


def test_a_verdict_is_published_once_and_goes_out_again_until_the_recorder_names_it(
    line: Line, start_service: StartService, recorder: Probe
) -> None:
    start_service(pace=QUICK)
    wait_online(line)
    first = judge_one(line, "first")
    again = recorder.wait_for_count("pcb/resend/verdict", 3)
    assert {each.payload for each in again} == {line.viewer.received("pcb/verdict")[0].payload}
    name(recorder, first["verdict_id"])
    judge_one(line, "second")

    def is_second(each: Any) -> bool:
        return b'"second"' in each.payload

    begun = recorder.wait_for("pcb/resend/verdict", is_second).at_ns
    recorder.wait_for_count("pcb/resend/verdict", 3, is_second)
    assert all(is_second(each) for each in recorder.received("pcb/resend/verdict") if each.at_ns >= begun)
    assert len(line.viewer.received("pcb/verdict")) == 2


def test_a_restarted_node_sends_again_what_nobody_has_named(
    line: Line, start_service: StartService, recorder: Probe, path: Path
) -> None:
    service = start_service(pace=Pace(after_ns=3600 * NS_PER_S))
    wait_online(line)
    verdicts = [judge_one(line, board_id) for board_id in ("a", "b")]
    service.stop()
    assert recorder.received("pcb/resend/verdict") == []
    start_service(pace=QUICK)
    recorder.wait_for("pcb/resend/verdict")
    name(recorder)  # whoever hears the recorder need not ask for it with one verdict at a time
    sent = [json.loads(each.payload) for each in recorder.wait_for_count("pcb/resend/verdict", 3)]
    assert sent[:3] == [verdicts[0], *verdicts]


@pytest.mark.parametrize("state", ["kept", "recorded"])
def test_a_trigger_that_comes_back_after_a_crash_is_not_judged_again(
    line: Line, start_service: StartService, path: Path, state: str
) -> None:
    at = (now_ns() - AGO_NS) // NS_PER_MS * NS_PER_MS
    before_the_crash = Outbox(path)
    before_the_crash.keep(verdict_id("pcb", "b1", at), b'{"board_id": "b1", "as it": "was judged"}')
    if state == "recorded":
        before_the_crash.clear([verdict_id("pcb", "b1", at)])
    before_the_crash.close()
    start_service()
    wait_online(line)
    line.trigger("b1", at)
    judge_one(line, "b2")
    said = [each.payload for each in line.viewer.received("pcb/verdict") if b'"b1"' in each.payload]
    # One that is kept may have been written down, but never published: it is said as it was.
    assert said == ([b'{"board_id": "b1", "as it": "was judged"}'] if state == "kept" else [])


def test_frames_of_a_board_judged_before_the_crash_make_no_second_verdict(
    line: Line, start_service: StartService, path: Path, good_jpeg: bytes
) -> None:
    at = now_ns() // NS_PER_MS * NS_PER_MS
    before_the_crash = Outbox(path)
    before_the_crash.keep(verdict_id("pcb", "b1", at), b"{}")
    before_the_crash.close()
    start_service(sides=("left",))
    wait_online(line)
    line.show("left", good_jpeg, board_id="b1", triggered_at=at)
    line.show("left", good_jpeg, board_id="b2", triggered_at=at)
    assert line.verdict_on("b2")["category"] == "normal"
    assert len(line.viewer.received("pcb/verdict")) == 1


def test_a_backlog_of_5000_goes_out_oldest_first_and_fresh_verdicts_overtake_it(
    line: Line, start_service: StartService, recorder: Probe, path: Path
) -> None:
    backlog = fill(path, 5000)
    start_service(pace=Pace(after_ns=60 * NS_PER_S, gap_ns=10 * NS_PER_MS))
    recorder.wait_for("pcb/resend/verdict")
    name(recorder)
    until(lambda: len(recorder.messages) > 100)
    judge_one(line, "fresh")
    assert len(recorder.messages) < 5000
    until(lambda: backlog[-1] in [each.payload for each in recorder.messages[-3:]], timeout=60)
    sent = [each.payload for each in recorder.received("pcb/resend/verdict")]
    assert sent == [backlog[0], *backlog]  # the first one had asked whether there is a recorder


def picture_ids(recorder: Probe) -> list[str]:
    """Of the pictures that went out again."""
    evidence = [decode_msgpack(Evidence, each.payload) for each in recorder.received("pcb/resend/evidence/+")]
    return [evidence_id(each.verdict_id, each.side) for each in evidence]


def test_pictures_go_out_again_by_their_side_until_the_recorder_names_them(
    line: Line, start_service: StartService, recorder: Probe, short_jpeg: bytes, good_jpeg: bytes
) -> None:
    recorder.subscribe("pcb/resend/evidence/+")
    service = start_service(pace=QUICK)
    wait_online(line)
    at = line.trigger("b")
    for side, jpeg in (("left", short_jpeg), ("right", good_jpeg)):
        line.show(side, jpeg, board_id="b", triggered_at=at)
    verdict = line.verdict_on("b")["verdict_id"]
    left, right = evidence_id(verdict, "left"), evidence_id(verdict, "right")
    first = line.recorder.wait_for("pcb/evidence/left").payload
    assert recorder.wait_for("pcb/resend/evidence/left").payload == first
    recorder.publish("pcb/recorded", encode_json(Recorded(evidence=(left,))))
    until(lambda: len(service._evidence) == 1)
    begun = len(picture_ids(recorder)) + 1
    recorder.wait_for_count("pcb/resend/evidence/+", begun + 3)
    assert set(picture_ids(recorder)[begun:]) == {right}
    recorder.publish("pcb/recorded", encode_json(Recorded(evidence=(right,))))
    until(lambda: len(service._evidence) == 0)


def test_a_recorder_that_names_verdicts_alone_gets_one_picture_at_a_time(
    line: Line, start_service: StartService, recorder: Probe, path: Path, tmp_path: Path
) -> None:
    """Its store may be away: it has what it can hold, and each picture that comes again fills its disk."""
    recorder.subscribe("pcb/resend/evidence/+")
    fill(path, 1)
    fill(tmp_path / "evidence.db", 5, name="v{}/left")
    service = start_service(pace=Pace(after_ns=3600 * NS_PER_S, gap_ns=10 * NS_PER_MS))
    recorder.wait_for("pcb/resend/evidence/left")
    name(recorder, "old-0")
    until(lambda: len(service._outbox) == 0)
    assert len(recorder.received("pcb/resend/evidence/left")) == 1
    recorder.publish("pcb/recorded", encode_json(Recorded(evidence=("v0/left",))))
    recorder.wait_for_count("pcb/resend/evidence/left", 5)


def test_pictures_outlive_the_node_and_a_broker_that_lost_them(
    line: Line, start_service: StartService, mqtt_probe: Callable[..., Probe], broker: Broker, short_jpeg: bytes
) -> None:
    """As where the recorder is away for longer than the broker keeps messages."""
    service = start_service(sides=("left",), pace=Pace(after_ns=3600 * NS_PER_S))
    wait_online(line)
    verdicts = []
    for number in range(5):
        at = line.trigger(f"b{number}")
        line.show("left", short_jpeg, board_id=f"b{number}", triggered_at=at)
        verdicts.append(line.verdict_on(f"b{number}")["verdict_id"])
    until(lambda: len(service._evidence) == 5)
    service.stop()
    lose_everything(broker)
    recorder = mqtt_probe("recorder")
    recorder.subscribe("pcb/resend/evidence/+")
    start_service(sides=("left",), pace=QUICK)
    recorder.wait_for("pcb/resend/evidence/left")
    # Whoever names a picture need not be asked with one at a time.
    recorder.publish("pcb/recorded", encode_json(Recorded(evidence=(evidence_id(verdicts[0], "left"),))))
    until(lambda: set(picture_ids(recorder)) == {evidence_id(each, "left") for each in verdicts})


def test_a_full_outbox_keeps_the_oldest_says_so_and_the_line_goes_on(
    line: Line, start_service: StartService, recorder: Probe, path: Path
) -> None:
    fill(path, 99)
    start_service(pace=QUICK, outbox_rows=100)
    recorder.wait_for("pcb/event/inference", lambda each: b"the outbox is nearly full" in each.payload)
    judge_one(line, "kept")
    judge_one(line, "published all the same")
    event = json.loads(recorder.wait_for("pcb/event/inference", lambda each: b'"critical"' in each.payload).payload)
    assert event["details"] == {"waiting": 100, "fault": "the outbox is full"}
    recorder.wait_for("pcb/status/inference", lambda each: b"the outbox takes no more" in each.payload)
    name(recorder, *(f"old-{number}" for number in range(99)))
    until(lambda: REGISTRY.get_sample_value("boardline_outbox_waiting", {"kind": "verdict"}) == 1)
    judge_one(line, "kept again")
    recorder.wait_for("pcb/event/inference", lambda each: b'"info"' in each.payload)
    until(lambda: b'"state":"online"' in recorder.received("pcb/status/inference")[-1].payload)
    recorder.wait_for_count("pcb/resend/verdict", 2, lambda each: b"kept again" in each.payload)
    assert not [each for each in recorder.received("pcb/resend/verdict") if b"all the same" in each.payload]


def test_malformed_words_of_the_recorder_clear_nothing(
    line: Line, start_service: StartService, recorder: Probe
) -> None:
    start_service(pace=QUICK)
    wait_online(line)
    verdict = judge_one(line, "b")
    for payload in (b"", b"{", b'{"v": 1, "verdicts": 7}', json.dumps({"verdicts": [verdict["verdict_id"]]})):
        recorder.publish("pcb/recorded", payload)
    name(recorder, "a stranger")
    count = len(recorder.received("pcb/resend/verdict"))
    recorder.wait_for_count("pcb/resend/verdict", count + 2)


def test_a_broker_that_loses_all_sessions_and_messages_loses_no_record(
    line: Line, broker: Broker, start_service: StartService, tmp_path: Path, short_jpeg: bytes
) -> None:
    with recording(broker, tmp_path):
        service = start_service(pace=QUICK)
        wait_online(line)
    # The recorder is away; verdicts and pictures wait in its session at the broker.
    verdicts = [judge_one(line, f"board-{number}")["verdict_id"] for number in range(30)]
    at = line.trigger("pictured")
    for side in ("left", "right"):
        line.show(side, short_jpeg, board_id="pictured", triggered_at=at)
    pictured = line.verdict_on("pictured")["verdict_id"]
    until(lambda: len(service._evidence) == 2)
    lose_everything(broker)
    with recording(broker, tmp_path):
        until(lambda: len(service._outbox) + len(service._evidence) == 0, timeout=20)
    assert recorded(tmp_path, Inspection.verdict_id) == sorted([*verdicts, pictured])
    paths = recorded(tmp_path, DefectImage.path)
    assert [(tmp_path / "images" / path).read_bytes() for path in paths] == [short_jpeg, short_jpeg]
