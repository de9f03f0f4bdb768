"""Pictures to JPEG."""

import cv2
import numpy as np
import pytest
from support.hand_fed import jpeg_of, picture

from edge_publisher.encoder import MOST_BYTES, Encoded, Encoder
from edge_publisher.sources import Picture, View
from pcb_bus.contract.pictures import inspect_jpeg


def encode(given: Picture, max_side: int = 1920) -> Encoded:
    encoded = Encoder(85, max_side).encode(given)
    assert encoded is not None
    info = inspect_jpeg(encoded.jpeg, max_pixels=10**8)
    assert (encoded.width, encoded.height) == (info.width, info.height)
    return encoded


def test_pixels_are_encoded_in_their_own_size() -> None:
    assert (encode(picture(0, 64, 48)).width, encode(picture(0, 64, 48)).height) == (64, 48)


def test_quality_is_that_of_the_setting() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    given = Picture(0, 64, 48, image=noise)
    expected = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    assert encode(given).jpeg == expected


def test_a_jpeg_passes_through_untouched() -> None:
    jpeg = jpeg_of(64, 48)
    assert encode(Picture(0, 64, 48, jpeg=jpeg)).jpeg is jpeg


def test_what_is_too_big_is_scaled_down_and_not_stretched() -> None:
    scaled = encode(picture(0, 400, 200), max_side=100)
    assert (scaled.width, scaled.height) == (100, 50)
    from_jpeg = encode(Picture(0, 90, 300, jpeg=jpeg_of(90, 300)), max_side=100)
    assert (from_jpeg.width, from_jpeg.height) == (30, 100)


def test_what_the_broker_would_not_take_has_less_quality_then_fewer_pixels(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    given, own = Picture(0, 400, 300, image=noise), len(encode(Picture(0, 400, 300, image=noise)).jpeg)
    for most, fewer_pixels in ((own - 1, False), (own // 8, True)):
        monkeypatch.setattr("edge_publisher.encoder.MOST_BYTES", most)
        encoded = encode(given)
        assert len(encoded.jpeg) <= most
        assert (encoded.width < 400) == fewer_pixels
        assert encoded.width / encoded.height == pytest.approx(4 / 3, rel=0.02)
    assert "more than the broker takes: sent as 400x300 with quality 70" in caplog.text


def test_a_jpeg_too_large_for_the_broker_does_not_pass_through() -> None:
    jpeg = jpeg_of(64, 48)
    encoded = encode(Picture(0, 64, 48, jpeg=jpeg + bytes(MOST_BYTES)))
    assert (encoded.width, encoded.height) == (64, 48)
    assert len(encoded.jpeg) < 2 * len(jpeg)


def test_a_jpeg_that_is_turned_is_encoded_again() -> None:
    turned = Picture(0, 64, 48, jpeg=jpeg_of(64, 48)).seen_through(View(rotate=90))
    assert (encode(turned).width, encode(turned).height) == (48, 64)


def test_what_cannot_be_encoded_is_no_frame() -> None:
    encoder = Encoder(85, 100)
    assert encoder.encode(Picture(0, 0, 0, image=np.zeros((0, 0, 3), np.uint8))) is None
    assert encoder.encode(Picture(0, 5, 5, image=np.zeros((5, 5, 7), np.uint8))) is None
    assert encoder.encode(Picture(0, 300, 300, jpeg=jpeg_of(300, 300)[:200])) is None


def test_a_camera_of_broken_pictures_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    encoder = Encoder(85, 100)
    for _ in range(50):
        encoder.encode(Picture(0, 5, 5, image=np.zeros((5, 5, 7), np.uint8)))
    (said,) = [record.message for record in caplog.records]
    assert "a picture of 5x5 cannot be encoded" in said


def test_the_same_picture_is_encoded_once() -> None:
    encoder, given = Encoder(85, 1920), picture(0)
    assert encoder.encode(given) is encoder.encode(given)
