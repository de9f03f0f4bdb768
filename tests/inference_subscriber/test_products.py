"""What a board is: its trigger knows it best, then its cameras, then whoever set up the line. And what time it is."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY
from support.peer import commander, until
from support.probe import Probe

from broker import Broker
from inference_subscriber.board import Board, BoardKey, Sighting
from inference_subscriber.judge import product_of
from inference_subscriber.service import InferenceService
from pcb_bus.contract.codec import decode_msgpack, encode_json
from pcb_bus.contract.messages import ClockReply, Command, Frame, LiveConfig
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import CommandFailed

MakeFrame = Callable[..., Frame]
StartService = Callable[..., InferenceService]
Line = Any  # see conftest


@pytest.mark.parametrize(
    ("triggers", "frames", "running", "product"),
    [
        ("a", [None, "b"], "c", "a"),
        (None, [None, "b"], "c", "b"),
        (None, [None, None], "c", "c"),
        (None, [], "c", "c"),
        (None, [None], None, None),
    ],
)
def test_the_best_word_counts(
    make_frame: MakeFrame, triggers: str | None, frames: list[str | None], running: str | None, product: str | None
) -> None:
    board = Board(BoardKey("b", 1), 0, None, 0, product=triggers, running=running)
    for number, each in enumerate(frames):
        frame = make_frame(f"side-{number}", "b", 1, 1).model_copy(update={"product": each})
        board.sightings[frame.side] = Sighting(frame, 0)
    assert product_of(board) == product


def test_inference_tells_what_time_it_is_on_the_line(
    line: Line, start_service: StartService, mqtt_probe: Callable[..., Probe]
) -> None:
    start_service()
    line.viewer.wait_for("pcb/status/inference", lambda each: json.loads(each.payload)["state"] == "online")
    actuator, before = mqtt_probe("actuator"), now_ns()
    actuator.subscribe("pcb/reply/actuator/#")
    question = encode_json(Command(command="clock"))
    actuator.publish("pcb/clock", question, ResponseTopic="pcb/reply/actuator/clock", CorrelationData=b"7")
    answer = actuator.wait_for("pcb/reply/actuator/clock")
    reply = decode_msgpack(ClockReply, answer.payload)
    assert before <= reply.heard_at <= reply.said_at <= now_ns()
    assert getattr(answer.properties, "CorrelationData", None) == b"7"


def open_boards() -> float | None:
    return REGISTRY.get_sample_value("boardline_inference_open_boards")


def test_a_verdict_names_the_product_of_its_trigger_else_the_one_that_runs(
    line: Line, start_service: StartService, broker: Broker, good_jpeg: bytes
) -> None:
    start_service(("left",), evidence_share=0, product="first")
    line.viewer.wait_for("pcb/status/inference", lambda each: json.loads(each.payload)["state"] == "online")

    def product(board: str, **fields: Any) -> Any:
        until(lambda: open_boards() == 0)
        at = line.trigger(board, **fields)
        until(lambda: open_boards() == 1)  # a frame comes by another connection, and may be faster
        line.show("left", good_jpeg, board_id=board, triggered_at=at)
        return line.verdict_on(board)["product"]

    def set_for_all(**values: Any) -> None:
        line.recorder.publish("pcb/config", encode_json(LiveConfig(values=values, updated_at=now_ns())), retain=True)

    with commander(broker) as operator:
        assert product("1") == "first"
        assert operator.ask("inference", "product") == {"product": "first", "outlives_restart": True}
        assert operator.ask("inference", "product", name="second") == {"product": "second", "outlives_restart": False}
        assert (product("2"), product("3", product="urgent"), product("4")) == ("second", "urgent", "second")
        with pytest.raises(CommandFailed, match=r"params\.name"):
            operator.ask("inference", "product", name=7)
        set_for_all(fps=3)  # which says nothing of the product
        assert product("5") == "second"
        set_for_all(fps=3, product="third")
        assert product("6") == "third"
        assert operator.ask("inference", "product", name=None)["product"] is None
        assert product("7") is None
