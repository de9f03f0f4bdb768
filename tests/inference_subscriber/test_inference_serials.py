"""Serials that cameras bring along are passed on; where no edge reads them, inference does, beside the detector."""

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp

from inference_subscriber.service import InferenceService, build
from inference_subscriber.settings import InferenceLine
from pcb_bus.contract.codec import decode_json
from pcb_bus.contract.messages import Serial
from pcb_bus.errors import ConfigError

StartService = Callable[..., InferenceService]
Line = Any  # see conftest
PATTERN = r"(?P<product>\w+)-\d+"


def picture_with(serial: str) -> tuple[bytes, dict[str, int]]:
    """A JPEG, and its size."""
    image = np.full((160, 240, 3), (60, 120, 40), np.uint8)
    code = np.asarray(zxingcpp.create_barcode(serial, zxingcpp.BarcodeFormat.QRCode).to_image(scale=3))
    image[20 : 20 + code.shape[0], 20 : 20 + code.shape[1]] = code[..., np.newaxis]
    return cv2.imencode(".jpg", image)[1].tobytes(), {"width": 240, "height": 160}


def test_a_serial_comes_with_its_frame_or_is_read_on_it(line: Line, start_service: StartService) -> None:
    line.viewer.subscribe("pcb/serial/left")
    start_service(("left",), evidence_share=0, serial="qr", serial_pattern=PATTERN)
    line.viewer.wait_for("pcb/status/inference", lambda each: json.loads(each.payload)["state"] == "online")
    jpeg, size = picture_with("display-8")
    passes = {}
    for board, told in (("brought", "controller-7"), ("read", None), ("odd", "7")):
        passes[board] = line.trigger(board)
        line.show("left", jpeg, board_id=board, triggered_at=passes[board], serial=told, **size)
        assert line.verdict_on(board)["serial"] == told
    found = [decode_json(Serial, each.payload) for each in line.viewer.wait_for_count("pcb/serial/left", 3)]
    expected = {
        ("brought", passes["brought"], "controller-7", "camera", "controller"),
        ("read", passes["read"], "display-8", "qr", "display"),
        ("odd", passes["odd"], "7", "camera", None),
    }
    assert {(each.board_id, each.triggered_at, each.serial, each.symbology, each.product) for each in found} == expected


def test_a_region_of_another_side_is_a_wrong_setting() -> None:
    settings = InferenceLine.model_validate({"inference": {"serial_region": {"top": (0, 0, 1, 0.5)}}})
    with pytest.raises(ConfigError, match=r"inference\.serial_region: top is none of the sides"):
        build(settings)
