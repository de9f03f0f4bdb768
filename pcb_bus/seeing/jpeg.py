"""From a JPEG to its pixels, or to the reason why it has none (ITU-T T.81). Pure.

Where the data end before the picture does, as when a cable or a driver loses some, libjpeg makes up the rest: flat or
smeared rows in which nothing is wrong. OpenCV does not tell. A board must not pass on such rows.
"""

import re
from random import Random

import cv2
import numpy as np
import numpy.typing as npt

from pcb_bus.contract.pictures import START_OF_SCAN, segments
from pcb_bus.errors import MessageRejected

Image = npt.NDArray[np.uint8]
"""Height x width x 3, blue, green, red."""

TRUNCATED = "truncated_jpeg"
# An EXIF turn would put the boxes elsewhere than on the published frame.
_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED = {
    scale: flag | cv2.IMREAD_IGNORE_ORIENTATION
    for scale, flag in (
        (8, cv2.IMREAD_REDUCED_COLOR_8),
        (4, cv2.IMREAD_REDUCED_COLOR_4),
        (2, cv2.IMREAD_REDUCED_COLOR_2),
    )
}
_LEAST_SIDE = 320
_END, _RESTART_INTERVAL = 0xD9, 0xDD
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_COEFFICIENTS = 64  # of each component
# In the data of a scan, FF is followed by 0; or, where the header says so, by one of eight restart markers.
_ANY_MARKER, _MARKER = re.compile(rb"\xff[^\0\xff]"), re.compile(rb"\xff[^\0\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_ZEROS = re.compile(bytes(64) + rb"\0*")  # as a lost packet leaves; with the standard tables no picture has more than 3
_MOST_CHECKED = 8
_TABLES = 0xC4
_STANDARD = bytes.fromhex("10 00 02 01 03 03 02 04 03 05 05 04 04 00 00 01 7d 01")  # codes of luminance, table K.5
_SPARE = b"\xff\0" * 8  # libjpeg reads up to 64 bits ahead; all ones are the code of nothing
_NOISE = [Random(seed).randbytes(200).replace(b"\xff", b"\x7f") for seed in range(30, 38)]
_OTHERS = _NOISE[0][:8], bytes.fromhex("20 02 00 10 00 80 04 00")  # to a scan of few codes, noise is none of them


def decode_jpeg(jpeg: bytes) -> Image:
    """The pixels, of which at most the last block that was coded as one (32 x 16 at most) is made up.

    Raises:
        MessageRejected: `truncated_jpeg` or `undecodable_jpeg`.
    """
    image = _decode_whole(jpeg)
    if image is not None:
        return image
    if _decode(jpeg) is not None:
        raise MessageRejected(TRUNCATED, "its data end before the picture does: a cable or a driver loses some")
    raise MessageRejected("undecodable_jpeg", f"{len(jpeg)} bytes without a picture")


def decode_small(jpeg: bytes, longer_side: int) -> Image:
    """The picture at a half, quarter or eighth of its size, 320 pixels or more: enough to tell a board from a belt.

    It takes a fraction of the time, and rows that are missing are not told. `longer_side`: of the JPEG, pixels.

    Raises:
        MessageRejected: `undecodable_jpeg`.
    """
    scale = next((scale for scale in _REDUCED if longer_side >= scale * _LEAST_SIDE), 1)
    image = _decode(jpeg, _REDUCED.get(scale, _FLAGS))
    if image is None:
        raise MessageRejected("undecodable_jpeg", f"{len(jpeg)} bytes without a picture")
    return image


def _decode_whole(jpeg: bytes) -> Image | None:
    found = dict(segments(jpeg))
    frame, scan = next((each for each in found if each in {_BASELINE, _EXTENDED, _PROGRESSIVE}), None), START_OF_SCAN
    if frame is None or scan not in found:
        return _decode(jpeg)  # arithmetic or lossless: no camera sends it
    components = jpeg[found[frame] + 7 :][:1]
    if frame == _PROGRESSIVE or jpeg[found[scan] + 2 :][:1] < components:
        return _decode_scans(jpeg, found[scan], int.from_bytes(components))
    interval = found.get(_RESTART_INTERVAL)
    return _decode_scan(jpeg, found[scan], restarts=interval is not None and any(jpeg[interval + 2 : interval + 4]))


def _decode_scan(jpeg: bytes, header: int, *, restarts: bool) -> Image | None:
    """OpenCV gives nothing where data are short and no marker ends them, so that marker is left out."""
    start = _end_of(jpeg, header)
    marker = (_MARKER if restarts else _ANY_MARKER).search(jpeg, start)
    end = marker.start() if marker else len(jpeg)
    if restarts:
        numbers = [each[1] % 8 for each in _RESTART.findall(jpeg, start, end)]
        if numbers != [number % 8 for number in range(len(numbers))]:
            return None  # some between them are lost
    if _ZEROS.search(jpeg, start, end) and (_STANDARD in jpeg[:start] or _TABLES not in dict(segments(jpeg))):
        return None
    image = _decode(jpeg[:end] + _SPARE)
    return None if image is None or _has_hole(jpeg, image, [(start, end)]) else image


def _decode_scans(jpeg: bytes, header: int | None, components: int) -> Image | None:
    """Several scans need their end. Noise before it changes nothing, unless the decoder still waits for data.

    It costs a second decoding, and libjpeg writes a line about the noise to stderr.
    """
    seen: set[tuple[int, int]] = set()
    start = end = 0
    first_bits: list[tuple[int, int]] = []
    while header is not None:
        seen.update(_completed(jpeg, header))
        start = _end_of(jpeg, header)
        refines = int.from_bytes(jpeg[start - 1 : start]) > 0xF  # the lowest bits: zeros there hide nothing
        header, end = _next_scan(jpeg, start)
        first_bits += [] if refines else [(start, end)]
    image = _decode(jpeg)
    if image is None or len(seen) < _COEFFICIENTS * components or _has_hole(jpeg, image, first_bits):
        return None
    again = _decode(jpeg[:end] + _noise(len(_RESTART.findall(jpeg, start, end))) + jpeg[end:])
    return image if np.array_equal(image, again) else None  # type: ignore[arg-type]


def _has_hole(jpeg: bytes, image: Image, data: list[tuple[int, int]]) -> bool:
    """Whether a long run of zeros stands for data that are lost.

    It may be data: with optimised tables, a flat ground is. Then the decoder is at the last byte when the data, or
    these up to a restart marker, end; behind a hole it has lost its place, and needs more, or leaves some.
    """
    stops = {
        marker.start() if (marker := _RESTART.search(jpeg, zeros.end(), end)) else end
        for start, end in data
        if any(jpeg[start : end - 1])  # all zeros: its table has this code alone, and noise cannot change it
        for zeros in _ZEROS.finditer(jpeg, start, end)
    }
    return any(
        all(np.array_equal(image, _decode(jpeg[: stop - 8] + each + jpeg[stop:])) for each in _OTHERS)  # type: ignore[arg-type]
        or not np.array_equal(image, _decode(jpeg[:stop] + _NOISE[0] + jpeg[stop:]))  # type: ignore[arg-type]
        for stop in sorted(stops)[:_MOST_CHECKED]
    )


def _noise(restarts: int) -> bytes:
    """For each of the next intervals some, where there were so many restart markers before."""
    return b"".join(each + bytes([0xFF, 0xD0 + (restarts + number) % 8]) for number, each in enumerate(_NOISE))


def _completed(jpeg: bytes, header: int) -> set[tuple[int, int]]:
    """The coefficients, each with its component, whose last bits this scan brings."""
    ids = 3 + 2 * int.from_bytes(jpeg[header + 2 : header + 3])
    low, high, bits = (*jpeg[header + ids : header + ids + 3], 0, 0, 1)[:3]
    names = jpeg[header + 3 : header + ids : 2]
    return set() if bits % 16 else {(name, each) for name in names for each in range(low, high + 1)}


def _next_scan(jpeg: bytes, start: int) -> tuple[int | None, int]:
    """Where the header behind the data at `start` stands, if there is one, and where those data end."""
    at, end = start, None
    while marker := _MARKER.search(jpeg, at):
        end = marker.start() if end is None else end
        if marker[0][1] in {START_OF_SCAN, _END}:
            return marker.end() if marker[0][1] == START_OF_SCAN else None, end
        at = _end_of(jpeg, marker.end())
    return None, len(jpeg)


def _end_of(jpeg: bytes, segment: int) -> int:
    return segment + int.from_bytes(jpeg[segment : segment + 2])


def _decode(jpeg: bytes, flags: int = _FLAGS) -> Image | None:
    try:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), flags)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)
