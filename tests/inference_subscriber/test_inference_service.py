"""The node against a real broker: what goes in, and which one verdict comes out."""

import json
import logging
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from prometheus_client import REGISTRY
from support.peer import until
from support.probe import Probe

from broker import Broker
from edge_publisher.service import build
from edge_publisher.settings import EdgeLineSettings, EdgeSettings
from inference_subscriber.service import InferenceService
from inference_subscriber.settings import InferenceLine, InferenceSettings
from pcb_bus.contract.codec import decode_json, decode_msgpack
from pcb_bus.contract.identity import verdict_id
from pcb_bus.contract.messages import Command, Evidence, Verdict
from pcb_bus.contract.taxonomy import Taxonomy
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.mqtt.session import QUEUED_AT_BROKER, Delivery
from pcb_bus.runtime.settings import BrokerSettings
from simulator.moving_belt import View

StartService = Callable[..., InferenceService]
Line = Any  # see conftest


@pytest.fixture
def running(line: Line, start_service: StartService) -> Line:
    """A line of two sides with the node up."""
    start_service(evidence_share=0)
    wait_online(line)
    return line


def wait_online(line: Line) -> None:
    line.viewer.wait_for("pcb/status/inference", lambda each: json.loads(each.payload)["state"] == "online")


def rejected(reason: str, kind: str = "frame") -> float:
    return REGISTRY.get_sample_value("boardline_messages_rejected_total", {"kind": kind, "reason": reason}) or 0.0


def overload_drops() -> float:
    """Of frames that waited to be read, and of pictures that waited for the engine."""
    frames = REGISTRY.get_sample_value("boardline_messages_dropped_total", {"kind": "frame", "reason": "queue_full"})
    pictures = REGISTRY.get_sample_value("boardline_inference_frames_dropped_total", {"reason": "overload"})
    return (frames or 0.0) + (pictures or 0.0)


def show_both(line: Line, board_id: str, at: int, left: bytes, right: bytes) -> None:
    for side, jpeg in (("left", left), ("right", right)):
        line.show(side, jpeg, board_id=board_id, triggered_at=at, quality=None)


def test_both_sides_give_one_verdict_that_matches_the_contract(
    running: Line, good_jpeg: bytes, short_jpeg: bytes
) -> None:
    at = running.trigger("b1")
    show_both(running, "b1", at, good_jpeg, short_jpeg)
    payload = running.viewer.wait_for("pcb/verdict").payload
    verdict = decode_json(Verdict, payload)
    assert (verdict.category, verdict.status, verdict.confidence) == ("solder", "ok", 0.9)
    assert verdict.verdict_id == verdict_id("pcb", "b1", at)
    assert verdict.timing is not None
    assert 0 <= verdict.timing.inference_ms <= verdict.latency_ms
    raw = json.loads(payload)
    (box,) = raw["right"]["boxes"]
    assert raw["left"]["boxes"] == []
    assert box["class"] == "short"
    assert [box[corner] for corner in ("x1", "y1", "x2", "y2")] == pytest.approx([16, 8, 32, 24], abs=2)


def test_frames_of_a_bad_board_are_kept_as_evidence_and_of_a_good_one_not(
    running: Line, good_jpeg: bytes, short_jpeg: bytes
) -> None:
    show_both(running, "good", running.trigger("good"), good_jpeg, good_jpeg)
    show_both(running, "bad", running.trigger("bad"), good_jpeg, short_jpeg)
    received = running.recorder.wait_for_count("pcb/evidence/+", 2)
    evidence = {each.side: each for each in (decode_msgpack(Evidence, each.payload) for each in received)}
    assert {side: each.board_id for side, each in evidence.items()} == {"left": "bad", "right": "bad"}
    assert evidence["right"].jpeg == short_jpeg
    assert evidence["right"].verdict_id == running.verdict_on("bad")["verdict_id"]


def test_a_missing_side_is_asked_for_and_joins(running: Line, good_jpeg: bytes) -> None:
    at = running.trigger("b1")
    running.show("left", good_jpeg, board_id="b1", triggered_at=at)
    asked = running.cameras["right"].wait_for("pcb/command/edge-right")
    command = decode_json(Command, asked.payload)
    assert (command.command, command.params) == ("resend", {"board_id": "b1", "triggered_at": at})
    running.show("right", good_jpeg, board_id="b1", triggered_at=at)
    assert running.verdict_on("b1")["status"] == "ok"


def test_a_board_that_no_camera_saw_is_unjudged(running: Line) -> None:
    running.trigger("b1")
    verdict = running.verdict_on("b1")
    assert (verdict["category"], verdict["status"], verdict["gpio_signal"]) == ("unjudged", "incomplete", None)
    assert (verdict["left"], verdict["right"]) == (None, None)


def test_half_a_board_that_is_bad_stays_bad(running: Line, short_jpeg: bytes) -> None:
    running.show("left", short_jpeg, board_id="b1", triggered_at=running.trigger("b1"))
    verdict = running.verdict_on("b1")
    assert (verdict["category"], verdict["status"]) == ("solder", "incomplete")


def test_single_frames_of_both_sides_are_one_board(running: Line, good_jpeg: bytes, short_jpeg: bytes) -> None:
    at = now_ns()
    running.show("left", good_jpeg, frame_id="f1", captured_at=at)
    running.show("right", short_jpeg, frame_id="f2")
    (verdict,) = running.verdicts(1)
    assert (verdict["board_id"], verdict["category"], verdict["status"]) == ("free-f1", "solder", "ok")
    assert verdict["verdict_id"] == verdict_id("pcb", "free-f1", at)


def test_a_camera_that_has_a_trigger_of_its_own_shows_a_board_in_every_frame(
    line: Line, start_service: StartService, good_jpeg: bytes
) -> None:
    start_service(sides=("left",), presence={"left": {"stills": True}})
    wait_online(line)
    for number in range(3):
        line.show("left", good_jpeg, frame_id=f"f{number}")
    assert [verdict["status"] for verdict in line.verdicts(3)] == ["ok"] * 3


def test_a_repeated_trigger_and_repeated_frames_give_no_second_verdict(running: Line, good_jpeg: bytes) -> None:
    for _ in range(3):
        at = running.trigger("b1", 1_790_000_000_000_000_000)
    for _ in range(2):
        at = running.trigger("b2")
        show_both(running, "b2", at, good_jpeg, good_jpeg)
        show_both(running, "b2", at, good_jpeg, good_jpeg)
        running.verdict_on("b2")
    running.trigger("last")
    running.verdict_on("last")
    ids = [verdict["board_id"] for verdict in running.verdicts(3)]
    assert ids.count("b1") == 1
    assert len({verdict["verdict_id"] for verdict in running.verdicts(len(ids))}) == len(ids)


BAD_FRAMES: dict[str, Callable[[bytes], bytes]] = {
    "not_msgpack": lambda jpeg: b"\xc1 this is no MessagePack",
    "schema": lambda jpeg: msgpack.packb({"v": 1, "side": "left"}),
    "truncated_jpeg": lambda jpeg: jpeg[:-100],
    "empty_image": lambda jpeg: with_size(jpeg, 0, 0),
    "too_many_pixels": lambda jpeg: with_size(jpeg, 10_000, 10_000),
    "undecodable_jpeg": lambda jpeg: jpeg[: jpeg.index(b"\xff\xc4")] + b"\xff\xd9",
}


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + height.to_bytes(2) + width.to_bytes(2) + jpeg[at + 4 :]


@pytest.mark.parametrize("reason", BAD_FRAMES)
def test_a_bad_frame_is_counted_and_does_not_harm_the_next(
    running: Line, good_jpeg: bytes, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    before = rejected(reason)
    with caplog.at_level(logging.WARNING):
        running.cameras["left"].publish("pcb/frame/left", BAD_FRAMES[reason](good_jpeg), qos=0)
        show_both(running, "good", running.trigger("good"), good_jpeg, good_jpeg)
        assert running.verdict_on("good")["category"] == "normal"
    assert rejected(reason) == before + 1
    assert sum(f"rejected a frame message: {reason}" in record.message for record in caplog.records) == 1


def test_a_board_of_which_half_a_picture_came_is_unjudged(running: Line, good_jpeg: bytes) -> None:
    """To libjpeg it is whole: it makes up the rows that are missing."""
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8))[1].tobytes()
    show_both(running, "half", running.trigger("half"), good_jpeg, jpeg[: len(jpeg) // 2] + b"\xff\xd9")
    verdict = running.verdict_on("half")
    assert (verdict["category"], verdict["status"], verdict["right"]["category"]) == (
        "unjudged",
        "incomplete",
        "unjudged",
    )
    assert verdict["right"]["quality"].startswith("torn: ")


def test_wrong_side_wrong_size_and_foreign_pictures_are_counted(running: Line, good_jpeg: bytes) -> None:
    reasons = ("side_mismatch", "size_mismatch", "not_jpeg")
    before = [rejected(reason) for reason in reasons]
    running.show("left", good_jpeg, side="right")
    running.show("left", good_jpeg, width=65)
    running.show("left", b"GIF89a")
    show_both(running, "good", running.trigger("good"), good_jpeg, good_jpeg)
    assert running.verdict_on("good")["category"] == "normal"
    assert [rejected(reason) for reason in reasons] == [count + 1 for count in before]


def test_a_frame_of_a_side_that_the_line_lacks_is_counted(
    line: Line, start_service: StartService, good_jpeg: bytes
) -> None:
    start_service(sides=("left",))
    wait_online(line)
    before = rejected("unknown_side")
    line.show("right", good_jpeg)
    line.show("left", good_jpeg, board_id="b")
    line.verdict_on("b")
    assert rejected("unknown_side") == before + 1


@pytest.mark.parametrize("payload", ["no JSON", "{}", '{"v": 1, "board_id": 7, "triggered_at": "now", "source": ""}'])
def test_a_bad_trigger_is_counted_and_not_delivered_again(running: Line, payload: str) -> None:
    reason = "not_json" if payload == "no JSON" else "schema"
    before = rejected(reason, "trigger")
    running.photo_eye.publish("pcb/trigger", payload)
    running.trigger("good")
    assert running.verdict_on("good")["category"] == "unjudged"
    assert rejected(reason, "trigger") == before + 1


def test_a_picture_that_the_network_fails_on_does_not_take_others_with_it(
    running: Line, good_jpeg: bytes, blue_jpeg: bytes
) -> None:
    blue_at, good_at = running.trigger("blue"), running.trigger("good")
    show_both(running, "blue", blue_at, good_jpeg, blue_jpeg)
    show_both(running, "good", good_at, good_jpeg, good_jpeg)
    assert running.verdict_on("good")["category"] == "normal"
    blue = running.verdict_on("blue")
    assert (blue["category"], blue["status"], blue["right"]) == ("unjudged", "incomplete", None)


def test_a_broker_that_restarts_gets_the_verdicts_all_the_same(
    running: Line, broker: Broker, mqtt_probe: Callable[..., Probe], good_jpeg: bytes
) -> None:
    running.trigger("under-way")
    broker.stop()
    broker.start()
    with Probe(broker, "viewer") as viewer:
        viewer.subscribe("pcb/verdict")
        found = viewer.wait_for("pcb/verdict", timeout=20)
    assert json.loads(found.payload)["board_id"] == "under-way"


def test_a_foreign_publisher_of_ten_lines_is_inspected(
    line: Line, start_service: StartService, broker: Broker, good_jpeg: bytes, tmp_path: Any
) -> None:
    start_service(sides=("left",))
    wait_online(line)
    picture = tmp_path / "board.jpg"
    picture.write_bytes(good_jpeg)
    login = broker.credentials("edge-left")
    program = f"""
        import time, msgpack, paho.mqtt.client as mqtt
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        client.username_pw_set({login.username!r}, {login.password!r})
        client.connect("127.0.0.1", {broker.port})
        client.loop_start()
        frame = dict(v=1, side="left", board_id="foreign", triggered_at=None, frame_id="1", captured_at=time.time_ns(),
                     width=64, height=48, jpeg=open({str(picture)!r}, "rb").read())
        client.publish("pcb/frame/left", msgpack.packb(frame), qos=1).wait_for_publish()
        client.disconnect()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=30)
    verdict = line.verdict_on("foreign")
    assert (verdict["category"], verdict["left"]["frame_id"]) == ("normal", "1")


def test_a_bare_jpeg_on_a_line_of_two_sides_is_inspected(running: Line, short_jpeg: bytes) -> None:
    running.cameras["left"].publish("pcb/frame/left", short_jpeg, qos=0)
    (verdict,) = running.verdicts(1)
    assert (verdict["category"], verdict["status"]) == ("solder", "incomplete")
    assert verdict["left"]["boxes"][0]["class"] == "short"
    assert verdict["board_id"].startswith("free-")


def by_the_camera(line: Line, sides: tuple[str, ...], belt: Sequence[View]) -> None:
    """What a stranger's camera does: bare JPEGs, ten a second."""
    began = time.monotonic()
    for number, view in enumerate(belt):
        jpeg = cv2.imencode(".jpg", view.image)[1].tobytes()
        time.sleep(max(0.0, began + number / 10 - time.monotonic()))
        for side in sides:
            line.cameras[side].publish(f"pcb/frame/{side}", jpeg, qos=0)


def test_cameras_that_know_nothing_of_boards_get_one_verdict_for_each(running: Line, moving_boards: list[View]) -> None:
    """Two sides, then one of them alone: the leader falls silent."""
    by_the_camera(running, ("left", "right"), moving_boards)
    first = running.verdicts(2)
    by_the_camera(running, ("right",), moving_boards[:13])  # the second board is not yet all in view
    running.trigger("after-them")
    running.verdict_on("after-them")
    verdicts = running.verdicts(4)
    assert len(first) == 2
    assert [each["status"] for each in verdicts[:3]] == ["ok", "ok", "incomplete"]
    assert [each["left"] is None for each in verdicts[:3]] == [False, False, True]
    assert [each["board_id"].startswith("free-") for each in verdicts] == [True, True, True, False]


def test_each_picture_of_a_folder_is_a_board(
    line: Line, start_service: StartService, broker: Broker, tmp_path: Path, good_jpeg: bytes, short_jpeg: bytes
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(short_jpeg if number == 3 else good_jpeg)
    start_service(sides=("left",))
    wait_online(line)
    edge = EdgeSettings(side="left", source=str(tmp_path), trigger="free_run", fps=20, preview_fps=0)
    where = BrokerSettings(port=broker.port, credentials=broker.credentials_folder)
    with closing_edge(EdgeLineSettings(sides=("left",), broker=where, edge=edge)):
        verdicts = line.verdicts(10)[:10]
    assert len({verdict["board_id"] for verdict in verdicts}) == 10
    in_order = sorted(verdicts, key=lambda verdict: str(verdict["captured_at"]))
    bad = [place for place, verdict in enumerate(in_order) if verdict["category"] == "solder"]
    assert bad in [[place, place + 5] for place in range(5)], "the fourth of five, from wherever the edge got through"


@contextmanager
def closing_edge(settings: EdgeLineSettings) -> Iterator[None]:
    edge = build(settings)
    edge.start()
    try:
        yield
    finally:
        edge.stop()


def test_under_overload_the_newest_frames_win(
    line: Line, start_service: StartService, red_spots: Any, good_jpeg: bytes
) -> None:
    red_spots.may_look.clear()
    start_service(sides=("left",), engine=red_spots)
    wait_online(line)
    before = overload_drops()
    for number in range(60):
        line.show("left", good_jpeg, board_id=f"b{number}")
    line.trigger("after-them")
    line.verdict_on("after-them")
    red_spots.may_look.set()
    assert {line.verdict_on(f"b{number}")["category"] for number in range(28, 60)} == {"normal"}
    assert overload_drops() > before


def test_pictures_of_the_largest_size_do_not_pile_up(line: Line, start_service: StartService, red_spots: Any) -> None:
    red_spots.may_look.clear()
    service = start_service(sides=("left",), engine=red_spots, max_frame_age_ms=60_000)
    wait_online(line)
    before = overload_drops()
    tiles = np.kron(np.indices((10, 10)).sum(axis=0) % 2, np.full((500, 500), 120))
    large = cv2.imencode(".jpg", np.repeat(tiles[..., None], 3, axis=2).astype(np.uint8))[1].tobytes()
    for board_id in (*"abcdef", "last"):
        line.show("left", large, board_id=board_id, width=5000, height=5000)
    until(lambda: overload_drops() > before)  # three may be with the engine, and three wait
    assert len(service._pictures) <= 3
    red_spots.may_look.set()
    assert line.verdict_on("last")["category"] == "normal"


def test_all_triggers_of_a_long_absence_have_room(
    broker: Broker, taxonomy: Taxonomy, red_spots: Any, tmp_path: Path
) -> None:
    # Mosquitto sends them as one flood; with 4,000, boards went without verdict until the next connection.
    settings = InferenceLine(
        broker=BrokerSettings(port=broker.port), inference=InferenceSettings(outbox=tmp_path / "outbox.db")
    )
    service = InferenceService(settings, red_spots, taxonomy)
    triggers = next(each for each in service._service.session._subscriptions if each.filter.matches("pcb/trigger"))
    dropped = {"kind": "trigger", "reason": "queue_full"}
    before = REGISTRY.get_sample_value("boardline_messages_dropped_total", dropped)
    for _ in range(QUEUED_AT_BROKER + 1000):  # its threads are not started: all of them wait
        triggers.handler(Delivery("pcb/trigger", b"{}", False, 0, None, None, ack=lambda: None))
    assert REGISTRY.get_sample_value("boardline_messages_dropped_total", dropped) == before


def status_detail(line: Line, state: str, words: str = "") -> str:
    """The detail of the first status of this state that has these words in it, once it is there."""

    def fits(received: Any) -> bool:
        status = json.loads(received.payload)
        return bool(status["state"] == state and words in status["detail"])

    return str(json.loads(line.viewer.wait_for("pcb/status/inference", fits).payload)["detail"])


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [
        (3600, "the clock of edge-left is 3600.0 s ahead of this machine's: set up NTP on both"),
        (-35, "a frame of left came 35.0 s after its capture: the clock of edge-left is behind"),
    ],
)
def test_a_wrong_clock_makes_the_node_degraded_until_it_is_right(
    running: Line, good_jpeg: bytes, caplog: pytest.LogCaptureFixture, offset_s: int, words: str
) -> None:
    for _ in range(3):
        running.show("left", good_jpeg, captured_at=now_ns() + offset_s * NS_PER_S)
    assert status_detail(running, "degraded").startswith(words)
    running.trigger("after-them")
    assert running.verdict_on("after-them")["category"] == "unjudged"
    running.show("right", good_jpeg, board_id="right")
    running.verdict_on("right")
    latest = json.loads(running.viewer.received("pcb/status/inference")[-1].payload)
    assert latest["state"] == "degraded", "the other camera's clock says nothing of this one's"
    running.show("left", good_jpeg)
    until(lambda: json.loads(running.viewer.received("pcb/status/inference")[-1].payload)["state"] == "online")
    assert sum(words in record.message for record in caplog.records) == 1


def test_a_retained_trigger_is_refused_and_counted(line: Line, start_service: StartService, broker: Broker) -> None:
    """What was retained before, and what is published to be retained while the node listens."""
    before = rejected("retained", "trigger")
    trigger = json.dumps({"v": 1, "board_id": "old", "triggered_at": "2026-01-01T00:00:00Z", "source": "photo-eye"})
    line.photo_eye.publish("pcb/trigger", trigger, retain=True)
    start_service()
    wait_online(line)
    line.photo_eye.publish("pcb/trigger", trigger, retain=True)
    line.photo_eye.publish("pcb/trigger", b"", retain=True)
    line.trigger("fresh")
    assert line.verdict_on("fresh")["category"] == "unjudged"
    assert [verdict["board_id"] for verdict in line.verdicts(1)] == ["fresh"]
    assert rejected("retained", "trigger") == before + 1


HOSTILE_IDS = (
    "../../etc/passwd",
    "'; DROP TABLE boards; --",
    "%s%n{0}",
    "<script>",
    "보드 \u202e17\u0301",
    "\U0001f984" * 128,
)


def test_ids_and_times_of_strangers_harm_nothing(running: Line, good_jpeg: bytes) -> None:
    for number, board_id in enumerate(HOSTILE_IDS):
        show_both(running, board_id, running.trigger(board_id), good_jpeg, good_jpeg)
        assert running.verdict_on(board_id)["category"] == "normal"
        running.show("left", good_jpeg, frame_id=board_id, captured_at=(0, 2**62)[number % 2])
    for board_id, at in (("of-1970", 0), ("of-2199", 7_258_000_000 * NS_PER_S)):
        running.trigger(board_id, at)
        running.verdict_on(board_id)
    show_both(running, "last", running.trigger("last"), good_jpeg, good_jpeg)
    assert running.verdict_on("last")["category"] == "normal"


def test_a_picture_of_one_line_is_inspected(line: Line, start_service: StartService) -> None:
    start_service(sides=("left",))
    wait_online(line)
    stripes = np.arange(65_000) // 5000 % 2 * 120
    thin = cv2.imencode(".jpg", np.repeat(stripes[None, :, None], 3, axis=2).astype(np.uint8))[1].tobytes()
    line.show("left", thin, width=65_000, height=1, board_id="thin")
    assert line.verdict_on("thin")["category"] == "normal"
