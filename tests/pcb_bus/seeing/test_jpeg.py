from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcb_bus.contract.pictures import PictureSize, inspect_jpeg
from pcb_bus.errors import MessageRejected

MAX_PIXELS = 12_000_000


def jpeg(width: int, height: int, *options: int) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", pixels, options)[1].tobytes()


def with_size(data: bytes, width: int, height: int) -> bytes:
    """The same picture, claiming another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + height.to_bytes(2) + width.to_bytes(2) + data[at + 4 :]


def reason(data: bytes) -> str:
    with pytest.raises(MessageRejected) as caught:
        inspect_jpeg(data, max_pixels=MAX_PIXELS)
    return caught.value.reason


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)])
def test_size_of_a_baseline_a_progressive_and_a_restarting_picture(options: tuple[int, ...]) -> None:
    assert inspect_jpeg(jpeg(64, 48, *options), max_pixels=MAX_PIXELS) == PictureSize(64, 48)


def test_a_camera_may_pad_with_zeros_and_put_fill_bytes_before_a_marker() -> None:
    data = jpeg(64, 48)
    filled = data.replace(b"\xff\xc0", b"\xff\xff\xff\xc0", 1)
    assert inspect_jpeg(filled + bytes(7), max_pixels=MAX_PIXELS) == PictureSize(64, 48)


def test_a_picture_cut_short_is_refused_wherever_it_is_cut() -> None:
    data = jpeg(64, 48)
    assert {reason(data[:length]) for length in range(2, len(data) - 1, 97)} == {"truncated_jpeg"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "not_jpeg"),
        (b"\x89PNG\r\n\x1a\n", "not_jpeg"),
        (b"\xff\xd8\xff\xd9", "not_jpeg"),
        (with_size(jpeg(64, 48), 0, 0), "empty_image"),
        (with_size(jpeg(64, 48), 64, 0), "empty_image"),
        (with_size(jpeg(64, 48), 10_000, 10_000), "too_many_pixels"),
    ],
    ids=["nothing", "png", "no header", "0x0", "no height", "100 megapixels"],
)
def test_bad_pictures_are_refused_for_their_reason(data: bytes, expected: str) -> None:
    assert reason(data) == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_refused(data: bytes) -> None:
    for candidate in (data, b"\xff\xd8" + data + b"\xff\xd9"):
        with suppress(MessageRejected):
            assert 0 < inspect_jpeg(candidate, max_pixels=MAX_PIXELS).pixels <= MAX_PIXELS
