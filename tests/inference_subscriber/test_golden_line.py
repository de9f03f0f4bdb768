"""The node with a golden board, against a real broker."""

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from support.bare_boards import grey_board

from inference_subscriber.copper import Grey
from inference_subscriber.golden import GoldenBoard
from inference_subscriber.service import InferenceService
from pcb_bus.contract.taxonomy import Taxonomy

RED = (0, 0, 255)  # as dark as copper, and what the engine of these tests takes for a short


@pytest.fixture
def board() -> Grey:
    return grey_board(20_001)[0]


@pytest.fixture
def running(start_service: Callable[..., InferenceService], line: Any, board: Grey, taxonomy: Taxonomy) -> Any:
    assert taxonomy.copper is not None
    start_service(sides=("left",), evidence_share=0, golden={"left": GoldenBoard(board, taxonomy.copper)})
    wait_for_state(line, "online")
    return line


def wait_for_state(line: Any, state: str) -> str:
    status = line.viewer.wait_for("pcb/status/inference", lambda each: json.loads(each.payload)["state"] == state)
    return str(json.loads(status.payload)["detail"])


def with_red_spot(board: Grey, material: int) -> bytes:
    """The board with 40 x 40 red pixels amid copper (0) or laminate (255)."""
    amid = cv2.erode(np.asarray(board == material, np.uint8), np.ones((49, 49), np.uint8), borderValue=0)
    y, x = (int(each) for each in np.argwhere(amid)[0])
    frame = np.asarray(cv2.cvtColor(board, cv2.COLOR_GRAY2BGR), np.uint8)
    frame[y - 20 : y + 20, x - 20 : x + 20] = RED
    return cv2.imencode(".jpg", frame)[1].tobytes()


def test_a_defect_where_nothing_changed_does_not_open_a_gate(running: Any, board: Grey) -> None:
    running.show("left", with_red_spot(board, 0), board_id="b", width=640, height=480)
    verdict = running.verdict_on("b")
    assert (verdict["category"], verdict["left"]["boxes"]) == ("normal", [])


def test_a_change_gives_the_defect_its_class_and_the_board_its_category(running: Any, board: Grey) -> None:
    running.show("left", with_red_spot(board, 255), board_id="b", width=640, height=480)
    verdict = running.verdict_on("b")
    (box,) = verdict["left"]["boxes"]
    assert (verdict["category"], box["class"]) == ("scrap", "spurious_copper")


def test_frames_of_another_size_leave_the_node_degraded_and_judging(running: Any, short_jpeg: bytes) -> None:
    running.show("left", short_jpeg, board_id="b")
    assert running.verdict_on("b")["category"] == "solder"
    reason = "left not compared with its golden board: frames of 64 x 48, but a golden board of 640 x 480"
    assert wait_for_state(running, "degraded") == reason
