"""Pictures that are inspected because somebody asked: what comes back, and that nobody else hears of them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from support.peer import Peer, broker_login
from support.probe import Probe

from broker import Broker
from pcb_bus.contract.topics import Topics
from pcb_bus.errors import CommandFailed
from pcb_bus.mqtt.requests import Requester

Line = Any  # see conftest
StartService = Callable[..., Any]


@pytest.fixture
def requester(broker: Broker) -> Iterator[Requester]:
    peer = Peer("dashboard", broker_login(broker, "dashboard"))
    made = Requester(peer.session, Topics(), "dashboard")
    peer.wait_up()
    yield made
    peer.session.stop(0)


@pytest.fixture
def running(line: Line, start_service: StartService) -> Line:
    start_service(evidence_share=0)
    line.viewer.wait_for("pcb/status/inference")
    return line


def test_the_answer_is_what_the_line_would_say_and_no_board_is_judged(
    running: Line, requester: Requester, good_jpeg: bytes, short_jpeg: bytes
) -> None:
    found = requester.inspect({"left": good_jpeg, "right": short_jpeg}, product="pi-hat")
    assert (found.category, found.status, found.product) == ("solder", "ok", "pi-hat")
    assert found.sides["left"] is not None
    assert found.sides["left"].category == "normal"
    assert found.sides["right"] is not None
    assert [box.class_name for box in found.sides["right"].boxes] == ["short"]
    running.trigger("b1")
    running.verdict_on("b1")
    assert [each.topic for each in running.viewer.messages if each.topic == "pcb/verdict"] == ["pcb/verdict"]
    assert not [each for each in running.recorder.messages if each.topic.startswith("pcb/evidence")]


def test_one_side_has_its_own_result_and_makes_no_whole_board(
    running: Line, requester: Requester, good_jpeg: bytes
) -> None:
    found = requester.inspect({"left": good_jpeg})
    assert (found.category, found.status, found.sides.get("right")) == ("unjudged", "incomplete", None)
    assert found.sides["left"] is not None
    assert found.sides["left"].category == "normal"


def test_a_picture_that_shows_nothing_is_never_normal(running: Line, requester: Requester, good_jpeg: bytes) -> None:
    black = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    found = requester.inspect({"left": good_jpeg, "right": black})
    assert found.category == "unjudged"
    assert found.sides["right"] is not None
    assert found.sides["right"].quality is not None


@pytest.mark.parametrize(
    ("pictures", "why"),
    [
        ({"left": b"GIF89a"}, "not_msgpack|schema|jpeg"),
        ({"top": b"\xff\xd8\xff\xd9"}, "unknown_side"),
        ({"left": b"\xff\xd8" + bytes(100)}, "jpeg"),
    ],
)
def test_what_is_no_picture_of_this_line_is_an_error(
    running: Line, requester: Requester, pictures: dict[str, bytes], why: str
) -> None:
    with pytest.raises(CommandFailed, match=why):
        requester.inspect(pictures)


def test_pictures_too_large_for_the_bus_are_not_sent(running: Line, requester: Requester) -> None:
    with pytest.raises(CommandFailed, match="send smaller ones"):
        requester.inspect({"left": bytes(2 << 20), "right": bytes(2 << 20)})
    assert requester.ask("inference", "ping") == {}


def test_a_picture_on_which_the_network_fails_is_an_error_and_the_next_is_not(
    running: Line, requester: Requester, blue_jpeg: bytes, good_jpeg: bytes
) -> None:
    with pytest.raises(CommandFailed, match="the network fails on the picture of left"):
        requester.inspect({"left": blue_jpeg, "right": good_jpeg})
    assert requester.inspect({"left": good_jpeg, "right": good_jpeg}).category == "normal"


def test_boards_go_first_and_who_asks_is_told_that_the_line_is_busy(
    line: Line, start_service: StartService, requester: Requester, red_spots: Any, good_jpeg: bytes
) -> None:
    start_service(engine=red_spots, evidence_share=0)
    line.viewer.wait_for("pcb/status/inference")
    red_spots.may_look.clear()
    at = line.trigger("b1")
    for side in ("left", "right"):
        line.show(side, good_jpeg, board_id="b1", triggered_at=at, quality=None)
    with pytest.raises(CommandFailed, match="too busy with boards"):
        requester.inspect({"left": good_jpeg, "right": good_jpeg}, timeout=0.3)
    red_spots.may_look.set()
    assert line.verdict_on("b1")["category"] == "normal"
    assert requester.inspect({"left": good_jpeg, "right": good_jpeg}).category == "normal"


def test_a_retained_request_is_refused(running: Line, mqtt_probe: Callable[..., Probe], good_jpeg: bytes) -> None:
    dashboard, request = mqtt_probe("dashboard"), msgpack.packb({"v": 1, "pictures": {"left": good_jpeg}})
    dashboard.subscribe("pcb/reply/dashboard")
    dashboard.publish("pcb/inspect/dashboard", request, retain=True, ResponseTopic="pcb/reply/dashboard")
    assert "retained" in json.loads(dashboard.wait_for("pcb/reply/dashboard").payload)["error"]
