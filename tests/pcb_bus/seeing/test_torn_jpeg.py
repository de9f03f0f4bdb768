"""Whole pictures pass as they are; those of which data are lost do not, whatever libjpeg makes of them."""

from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pcb_bus.contract.pictures import START_OF_SCAN, inspect_jpeg, segments
from pcb_bus.errors import MessageRejected
from pcb_bus.seeing.jpeg import Image, decode_jpeg

END = b"\xff\xd9"
CORNER = 17, 33  # rows and columns of the largest block that is coded as one, and the pixel that its colour blends into
SAMPLINGS = [
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]


def draw(kind: str, width: int, height: int, seed: int = 0) -> Image:
    """A board on a flat ground, a flat picture, a smooth one, or noise."""
    random = np.random.default_rng(seed)
    if kind == "noise":
        return random.integers(0, 255, (height, width, 3), dtype=np.uint8)
    if kind == "smooth":
        coarse = random.integers(0, 255, (5, 5, 3), dtype=np.uint8)
        return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    image = np.full((height, width, 3), 114, np.uint8)
    if kind == "board":
        cv2.rectangle(image, (width // 8, height // 8), (width // 2, height // 2), (40, 120, 60), -1)
        cv2.circle(image, (width // 3, height // 3), max(1, width // 8), (0, 0, 255), 2)
    return image


def encode(image: Image, *options: int) -> bytes:
    return cv2.imencode(".jpg", image, options)[1].tobytes()


@st.composite
def pictures(draw_from: st.DrawFn) -> bytes:
    kind = draw_from(st.sampled_from(["board", "flat", "smooth", "noise"]))
    image = draw(kind, draw_from(st.integers(1, 200)), draw_from(st.integers(1, 200)), draw_from(st.integers(0, 99)))
    options = [cv2.IMWRITE_JPEG_QUALITY, draw_from(st.integers(1, 100))]
    for flag in (cv2.IMWRITE_JPEG_OPTIMIZE, cv2.IMWRITE_JPEG_PROGRESSIVE):
        options += [flag, draw_from(st.integers(0, 1))]
    options += [cv2.IMWRITE_JPEG_RST_INTERVAL, draw_from(st.sampled_from([0, 0, 1, 3, 10]))]
    if draw_from(st.booleans()):
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    else:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, draw_from(st.sampled_from(SAMPLINGS))]
    return encode(image, *options)


def plain(jpeg: bytes) -> Image | None:
    """What OpenCV makes of it."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def data_at(jpeg: bytes) -> int:
    """Where the data of the first scan begin."""
    header = next(at for marker, at in segments(jpeg) if marker == START_OF_SCAN)
    return header + int.from_bytes(jpeg[header : header + 2])


def reason_of(jpeg: bytes) -> str:
    with pytest.raises(MessageRejected) as caught:
        decode_jpeg(jpeg)
    return caught.value.reason


@given(pictures())
@settings(max_examples=300)
def test_a_whole_picture_is_decoded_as_it_is(jpeg: bytes) -> None:
    assert np.array_equal(decode_jpeg(jpeg), plain(jpeg))  # type: ignore[arg-type]


@given(pictures(), st.floats(0, 1), st.sampled_from([END, END + END, END + b"\0" * 9 + END, b"\xff" + END]))
@settings(max_examples=300)
def test_a_picture_that_is_cut_anywhere_and_ended_is_refused(jpeg: bytes, share: float, ending: bytes) -> None:
    start = data_at(jpeg)
    cut = jpeg[: start + round(share * (len(jpeg) - 2 - start))] + ending
    whole = plain(jpeg)
    assert whole is not None
    with suppress(MessageRejected):
        image = decode_jpeg(cut)
        assert np.array_equal(image[: -CORNER[0]], whole[: -CORNER[0]])
        assert np.array_equal(image[-CORNER[0] :, : -CORNER[1]], whole[-CORNER[0] :, : -CORNER[1]])


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_cut_picture_is_one_to_opencv_and_none_to_us(share: float, progressive: int) -> None:
    jpeg = encode(draw("board", 640, 480), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    cut = jpeg[: data_at(jpeg) + round(share * (len(jpeg) - data_at(jpeg)))] + END
    assert plain(cut) is not None
    assert reason_of(cut) == "truncated_jpeg"


@pytest.mark.parametrize("size", [512, 4096, 1_000_000])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize(
    "options",
    [
        [],
        [cv2.IMWRITE_JPEG_RST_INTERVAL, 40],
        [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
        [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    ],
)
def test_a_picture_with_a_hole_of_zeros_is_cut(options: list[int], share: float, size: int) -> None:
    jpeg = encode(draw("noise", 320, 240), *options)
    data, end = data_at(jpeg), len(jpeg) - 2
    if cv2.IMWRITE_JPEG_PROGRESSIVE in options:
        end = jpeg.index(b"\xff\xc4", data)  # of the first scan: what comes last are details
    start = data + round(share * (end - data))
    stop = min(start + size, end)
    holed = jpeg[:start] + bytes(stop - start) + jpeg[stop:]
    assert plain(holed) is not None
    assert reason_of(holed) == "truncated_jpeg"


@pytest.mark.parametrize("grey", [114, 128, 148])
@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("kind", ["flat", "board"])
def test_a_flat_ground_may_be_coded_as_zeros(kind: str, progressive: int, grey: int) -> None:
    image = draw(kind, 1280, 960)
    image[image == 114] = grey
    quality = cv2.IMWRITE_JPEG_QUALITY, 1 if grey == 148 else 95
    jpeg = encode(image, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, *quality)
    assert bytes(64) in jpeg[data_at(jpeg) :]
    assert np.array_equal(decode_jpeg(jpeg), plain(jpeg))  # type: ignore[arg-type]


def test_a_progressive_scan_of_two_codes_is_whole() -> None:
    noise = draw("noise", 200, 200, seed=3)
    options = cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 2
    jpeg = encode(noise, *options, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420)
    assert bytes(64) in jpeg[data_at(jpeg) :]
    assert np.array_equal(decode_jpeg(jpeg), plain(jpeg))  # type: ignore[arg-type]


def test_a_progressive_picture_without_its_last_scans_is_cut() -> None:
    jpeg = encode(draw("smooth", 320, 240), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    second = jpeg.index(b"\xff\xda", data_at(jpeg))
    assert reason_of(jpeg[: jpeg.rindex(b"\xff\xc4", 0, second)] + END) == "truncated_jpeg"
    last = jpeg.rindex(b"\xff\xda")
    assert reason_of(jpeg[: jpeg.rindex(b"\xff\xc4", 0, last)] + END) == "truncated_jpeg"


@pytest.mark.parametrize("lost", [1, 2, 3, 7])
def test_a_picture_that_lacks_rows_between_restart_markers_is_cut(lost: int) -> None:
    jpeg = encode(draw("smooth", 320, 240), cv2.IMWRITE_JPEG_RST_INTERVAL, 20)
    first, next_there = (jpeg.index(bytes([0xFF, 0xD0 + number])) for number in (0, lost))
    assert plain(jpeg[:first] + jpeg[next_there:]) is not None
    assert reason_of(jpeg[:first] + jpeg[next_there:]) == "truncated_jpeg"


def test_restart_markers_that_nobody_announced_are_no_data() -> None:
    jpeg = encode(draw("smooth", 320, 240))
    half = (data_at(jpeg) + len(jpeg)) // 2
    assert reason_of(jpeg[:half] + b"\xff\xd0" + END) == "truncated_jpeg"


def test_what_stands_behind_the_first_end_does_not_count() -> None:
    jpeg = encode(draw("smooth", 320, 240))
    half = (data_at(jpeg) + len(jpeg)) // 2
    assert reason_of(jpeg[:half] + END + jpeg[half:]) == "truncated_jpeg"
    assert np.array_equal(decode_jpeg(jpeg + b"left over" + END), decode_jpeg(jpeg))


def test_a_note_between_the_data_and_the_end_does_no_harm() -> None:
    note = b"\xff\xfe\0\x08 note\xff"
    for progressive in (0, 1):
        jpeg = encode(draw("smooth", 64, 48), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
        assert np.array_equal(decode_jpeg(jpeg[:-2] + note + END), decode_jpeg(jpeg))
        assert reason_of(jpeg[:-60] + note + END) == "truncated_jpeg"


def test_scans_of_one_colour_each() -> None:
    """What jpegtran makes of `0; 1; 2;`: as in a grey picture, each component has a scan of its own."""
    grey = [encode(draw("smooth", 64, 48, seed)[..., 0].copy(), cv2.IMWRITE_JPEG_OPTIMIZE, 0) for seed in range(3)]
    frame = encode(draw("flat", 64, 48), cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    head = frame[: frame.index(b"\xff\xda")].replace(b"\x02\x11\1", b"\x02\x11\0").replace(b"\x03\x11\1", b"\x03\x11\0")
    scans = [
        b"\xff\xda\0\x08\1" + bytes([1 + index]) + b"\0\0\x3f\0" + each[data_at(each) : -2]
        for index, each in enumerate(grey)
    ]
    jpeg = head + b"".join(scans) + END
    assert np.array_equal(decode_jpeg(jpeg), plain(jpeg))  # type: ignore[arg-type]
    assert reason_of(jpeg[:-40] + END) == "truncated_jpeg"
    assert reason_of(head + b"".join(scans[:2]) + END) == "truncated_jpeg"


def test_no_picture_is_undecodable() -> None:
    jpeg = encode(draw("board", 64, 48))
    assert reason_of(jpeg[: jpeg.index(b"\xff\xc4")] + END) == "undecodable_jpeg"
    assert reason_of(b"\xff\xd8" + END) == "undecodable_jpeg"


@given(pictures(), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=300)
def test_whatever_a_network_makes_of_a_picture_it_is_one_or_it_is_refused(
    jpeg: bytes, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(jpeg)
    for place, byte in changes:
        data[int(place * len(data))] = byte
    with suppress(MessageRejected):
        inspect_jpeg(bytes(data), max_pixels=100_000)
        assert decode_jpeg(bytes(data)).ndim == 3


def test_the_pictures_of_a_camera_that_leaves_out_its_tables() -> None:
    jpeg = encode(draw("board", 64, 48))
    bare = jpeg[: jpeg.index(b"\xff\xc4")] + jpeg[jpeg.index(b"\xff\xda") :]
    assert np.array_equal(decode_jpeg(bare), decode_jpeg(jpeg))
    assert reason_of(bare[:-40] + END) == "truncated_jpeg"
