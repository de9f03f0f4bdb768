"""What a frame's payload must be."""

from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_subscriber.intake import FrameLimits, decode_picture, read_frame
from pcb_bus.errors import MessageRejected

LIMITS = FrameLimits(frozenset({"left", "right"}), max_pixels=25_000_000)
NOW = 1_790_000_000_000_000_000


def fields_of(jpeg: bytes, **changes: Any) -> dict[str, Any]:
    frame = {"v": 1, "side": "left", "board_id": "b", "triggered_at": NOW, "frame_id": "f", "captured_at": NOW}
    return {**frame, "width": 64, "height": 48, "jpeg": jpeg, **changes}


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """The same JPEG with another size in its frame header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + height.to_bytes(2) + width.to_bytes(2) + jpeg[at + 4 :]


def reason_of(payload: bytes, side: str = "left") -> str:
    with pytest.raises(MessageRejected) as caught:
        read_frame(side, payload, NOW, LIMITS)
    return caught.value.reason


def test_a_frame_is_read_and_decoded(short_jpeg: bytes) -> None:
    frame = read_frame("left", msgpack.packb(fields_of(short_jpeg, serial="S1", extra="ignored")), NOW, LIMITS)
    assert (frame.board_id, frame.serial) == ("b", "S1")
    assert decode_picture(frame).shape == (48, 64, 3)


def test_a_bare_jpeg_is_a_frame_captured_now(good_jpeg: bytes) -> None:
    frame = read_frame("right", good_jpeg, NOW, LIMITS)
    assert (frame.side, frame.board_id, frame.captured_at) == ("right", None, NOW)
    assert (frame.width, frame.height) == (64, 48)


def test_a_grey_picture_has_three_channels_too() -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((48, 64), np.uint8))[1].tobytes()
    assert decode_picture(read_frame("left", jpeg, NOW, LIMITS)).shape == (48, 64, 3)


def test_an_exif_turn_is_not_followed(good_jpeg: bytes) -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    turned = good_jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + good_jpeg[2:]
    assert decode_picture(read_frame("left", turned, NOW, LIMITS)).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": 2}, "schema"),
        ({"side": 7}, "schema"),
        ({"side": "right"}, "side_mismatch"),
        ({"captured_at": "now"}, "schema"),
        ({"captured_at": -1}, "schema"),
        ({"width": 65}, "size_mismatch"),
        ({"width": 0}, "schema"),
        ({"jpeg": "text"}, "schema"),
        ({"jpeg": b""}, "schema"),
        ({"jpeg": b"GIF89a"}, "not_jpeg"),
    ],
)
def test_a_frame_that_breaks_the_contract_is_rejected(good_jpeg: bytes, changes: dict[str, Any], reason: str) -> None:
    assert reason_of(msgpack.packb(fields_of(good_jpeg) | changes)) == reason


@pytest.mark.parametrize("field", ["v", "side", "board_id", "triggered_at", "frame_id", "captured_at", "width", "jpeg"])
def test_a_missing_field_is_rejected(good_jpeg: bytes, field: str) -> None:
    frame = fields_of(good_jpeg)
    del frame[field]
    assert reason_of(msgpack.packb(frame)) == "schema"


def test_hostile_pictures_are_rejected_unread(good_jpeg: bytes) -> None:
    assert reason_of(good_jpeg[:-200]) == "truncated_jpeg"
    assert reason_of(with_size(good_jpeg, 0, 0)) == "empty_image"
    assert reason_of(with_size(good_jpeg, 10_000, 10_000)) == "too_many_pixels"
    assert reason_of(b"\xff\xd8\xff\xd9") == "not_jpeg"


def test_a_payload_over_the_limit_is_rejected(good_jpeg: bytes) -> None:
    assert reason_of(msgpack.packb(fields_of(good_jpeg + bytes(5 * 1024 * 1024)))) == "too_large"
    assert reason_of(good_jpeg + bytes(5 * 1024 * 1024)) == "too_large"


def test_an_unknown_side_is_rejected(good_jpeg: bytes) -> None:
    assert reason_of(good_jpeg, side="top") == "unknown_side"


def test_a_jpeg_without_a_picture_is_rejected(good_jpeg: bytes) -> None:
    scan = good_jpeg.index(b"\xff\xc4")
    hollow = good_jpeg[:scan] + b"\xff\xd9"
    with pytest.raises(MessageRejected, match="undecodable_jpeg"):
        decode_picture(read_frame("left", hollow, NOW, LIMITS))


@given(payload=st.binary(max_size=300))
def test_noise_is_rejected_and_nothing_else(payload: bytes) -> None:
    with pytest.raises(MessageRejected):
        read_frame("left", payload, NOW, LIMITS)
    with pytest.raises(MessageRejected):
        read_frame("left", b"\xff\xd8" + payload, NOW, LIMITS)
