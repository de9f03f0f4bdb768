"""JPEGs that travel as they came: out of the raw buffers of a camera, and out of a stream over HTTP."""

import http.client
import re
from collections import deque
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    BaseHandler,
    HTTPBasicAuthHandler,
    HTTPDigestAuthHandler,
    HTTPPasswordMgrWithDefaultRealm,
    ProxyHandler,
    Request,
    build_opener,
)

from edge_publisher.sources.base import CameraGone, Held, Picture
from edge_publisher.sources.causes import why_no_answer
from pcb_bus.contract.pictures import END, START, START_OF_SCAN, inspect_jpeg, segments, size_of_jpeg
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import MessageRejected

MOST_BROKEN = 10
"""Cut pictures in a row: a bad cable gives some, a wrong mode nothing else."""

_PATIENCE_S = 5.0
_MAX_PIXELS = 100_000_000
_MAX_BYTES = 32 * 1024 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_PIECE = 64 * 1024
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)", re.IGNORECASE | re.MULTILINE)
_HUFFMAN_TABLES = 0xC4
_BASELINE = 0xC0


def _table(kind: int, counts: str, values: str) -> bytes:
    """Of a DHT segment: class and place, how many codes of each length from 1 to 16, and what they stand for."""
    return bytes([kind]) + bytes.fromhex(counts) + bytes.fromhex(values)


_TABLES = b"".join(
    (
        _table(0x00, "00 01 05 01 01 01 01 01 01 00 00 00 00 00 00 00", "00 01 02 03 04 05 06 07 08 09 0a 0b"),
        _table(
            0x10,
            "00 02 01 03 03 02 04 03 05 05 04 04 00 00 01 7d",
            """01 02 03 00 04 11 05 12 21 31 41 06 13 51 61 07 22 71 14 32 81 91 a1 08 23 42 b1 c1 15 52 d1 f0
            24 33 62 72 82 09 0a 16 17 18 19 1a 25 26 27 28 29 2a 34 35 36 37 38 39 3a 43 44 45 46 47 48 49
            4a 53 54 55 56 57 58 59 5a 63 64 65 66 67 68 69 6a 73 74 75 76 77 78 79 7a 83 84 85 86 87 88 89
            8a 92 93 94 95 96 97 98 99 9a a2 a3 a4 a5 a6 a7 a8 a9 aa b2 b3 b4 b5 b6 b7 b8 b9 ba c2 c3 c4 c5
            c6 c7 c8 c9 ca d2 d3 d4 d5 d6 d7 d8 d9 da e1 e2 e3 e4 e5 e6 e7 e8 e9 ea f1 f2 f3 f4 f5 f6 f7 f8
            f9 fa""",
        ),
        _table(0x01, "00 03 01 01 01 01 01 01 01 01 01 00 00 00 00 00", "00 01 02 03 04 05 06 07 08 09 0a 0b"),
        _table(
            0x11,
            "00 02 01 02 04 04 03 04 07 05 04 04 00 01 02 77",
            """00 01 02 03 11 04 05 21 31 06 12 41 51 07 61 71 13 22 32 81 08 14 42 91 a1 b1 c1 09 23 33 52 f0
            15 62 72 d1 0a 16 24 34 e1 25 f1 17 18 19 1a 26 27 28 29 2a 35 36 37 38 39 3a 43 44 45 46 47 48
            49 4a 53 54 55 56 57 58 59 5a 63 64 65 66 67 68 69 6a 73 74 75 76 77 78 79 7a 82 83 84 85 86 87
            88 89 8a 92 93 94 95 96 97 98 99 9a a2 a3 a4 a5 a6 a7 a8 a9 aa b2 b3 b4 b5 b6 b7 b8 b9 ba c2 c3
            c4 c5 c6 c7 c8 c9 ca d2 d3 d4 d5 d6 d7 d8 d9 da e2 e3 e4 e5 e6 e7 e8 e9 ea f2 f3 f4 f5 f6 f7 f8
            f9 fa""",
        ),
    )
)
STANDARD_TABLES = bytes([0xFF, _HUFFMAN_TABLES]) + (len(_TABLES) + 2).to_bytes(2) + _TABLES
"""The typical Huffman tables (ITU-T T.81, tables K.3 to K.6) as one segment: luminance, then chrominance."""


def whole_jpeg(buffer: bytes) -> bytes | None:
    """The one picture in `buffer`, without what a driver leaves behind it; None if it is cut short, or is no JPEG.

    Many cameras leave out the Huffman tables and mean the typical ones. Not every decoder knows those: they are put in.
    """
    return _whole(buffer, dict(_found(buffer)))


def _found(buffer: bytes) -> list[tuple[int, int]]:
    return list(segments(buffer)) if buffer.startswith(START) else []


def _whole(buffer: bytes, places: dict[int, int], *, alone: bool = False) -> bytes | None:
    scan = places.get(START_OF_SCAN)
    if scan is None or not (_HUFFMAN_TABLES in places or _BASELINE in places):
        return None
    # Within a scan, FF is never followed by D9: the first one is the end.
    end = len(buffer) - len(END) if alone and buffer.endswith(END) else buffer.find(END, scan)
    if end < 0:
        return None
    if _HUFFMAN_TABLES in places:
        return buffer[: end + len(END)]
    header = scan - 2
    return buffer[:header] + STANDARD_TABLES + buffer[header : end + len(END)]


def picture_from_jpeg(buffer: bytes, captured_at: int, *, alone: bool = False) -> Picture | None:
    """The picture in a camera's buffer, undecoded; None if there is no whole one.

    Args:
        alone: nothing is left over in the buffer from another picture, so that its end need not be searched.
    """
    found = _found(buffer)
    jpeg = _whole(buffer, dict(found), alone=alone)
    try:
        size = None if jpeg is None else size_of_jpeg(buffer, found, max_pixels=_MAX_PIXELS)
    except MessageRejected:
        return None
    return None if size is None else Picture(captured_at, size.width, size.height, jpeg=jpeg)


def picture_of(jpeg: bytes, captured_at: int) -> Picture | None:
    """The picture, undecoded; None if it is not one whole JPEG, as it stands."""
    try:
        info = inspect_jpeg(jpeg, max_pixels=_MAX_PIXELS)
    except MessageRejected:
        return None
    return Picture(captured_at, info.width, info.height, jpeg=jpeg)


class Parts:
    """The parts of a multipart stream, however it is cut into pieces (RFC 2046, section 5.1). Pure.

    Cameras do not agree on where the dashes of the boundary belong, and some send no lengths.
    """

    def __init__(self, boundary: str) -> None:
        self._boundary = b"--" + boundary.strip('"').lstrip("-").encode("latin-1")
        self._buffer = bytearray()
        self._length: int | None = None
        self._began: int | None = None  # when the header of the part came that is about to come

    def feed(self, piece: bytes, now: int) -> list[tuple[bytes, int]]:
        """What came at `now`; the parts that are whole by that, each with the time when it began, all different.

        Raises:
            CameraGone: that is no such stream.
        """
        self._buffer += piece
        parts: list[tuple[bytes, int]] = []
        while self._inside(now + len(parts)) and (length := self._end()) >= 0:
            with memoryview(self._buffer) as whole:
                parts.append((bytes(whole[:length]), self._began or now))
            del self._buffer[:length]
            self._began = None
        return parts

    def _inside(self, now: int) -> bool:
        while self._began is None:
            end = _HEADER_END.search(self._buffer)
            if end is None:
                self._check(_MAX_HEADER_BYTES)
                return False
            header = bytes(self._buffer[: end.start()])
            del self._buffer[: end.end()]
            if header.strip():
                length = _LENGTH.search(header)
                self._length, self._began = int(length[1]) if length else None, now
        return True

    def _end(self) -> int:
        """Where the part ends that the buffer begins with; negative: that has not come yet."""
        length = self._buffer.find(self._boundary) if self._length is None else self._length
        if 0 <= length <= min(len(self._buffer), _MAX_BYTES):
            return length
        self._check(_MAX_BYTES)
        return -1

    def _check(self, most: int) -> None:
        if max(len(self._buffer), self._length or 0) > most:
            raise CameraGone(f"stream: no picture in {most >> 10} KB: is that a stream of MJPEG?")


class HttpStream:
    """A `Source`: MJPEG over HTTP (`multipart/x-mixed-replace`), as many network cameras and phones offer it.

    Args:
        patience_s: so long the camera may be silent.

    Raises:
        CameraGone: it does not answer, refuses, or has no such stream there.
    """

    def __init__(self, url: str, patience_s: float = _PATIENCE_S) -> None:
        self._pictures: deque[tuple[bytes, int]] = deque()
        try:
            self._response = _open(url, patience_s)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise CameraGone(f"stream: {why_no_answer(url, error)}") from None
        self._held = Held(self._response.close)
        self.close = self._held.close
        kind = self._response.headers
        if kind.get_content_maintype() != "multipart":
            self.close()
            raise CameraGone(
                f"stream: that address answers with {kind.get_content_type()}, not with a stream of MJPEG "
                "(multipart/x-mixed-replace): the camera's manual names the right path"
            )
        self._parts = Parts(str(kind.get_param("boundary", "")))

    def read(self) -> Picture:
        for _ in range(MOST_BROKEN):
            picture = picture_from_jpeg(*self._next(), alone=True)
            if picture is not None:
                return picture
        raise CameraGone(f"stream: {MOST_BROKEN} broken pictures in a row")

    def _next(self) -> tuple[bytes, int]:
        while not self._pictures:
            piece = self._read()
            self._pictures.extend(self._parts.feed(piece, now_ns()))
        return self._pictures.popleft()

    def _read(self) -> bytes:
        try:
            with self._held:
                piece = self._response.read1(_PIECE)
        except TimeoutError:
            raise CameraGone("stream: the camera has fallen silent: is it on, and in this network?") from None
        except (OSError, http.client.HTTPException) as error:
            raise CameraGone(f"stream: it is cut off: {error}") from None
        if not piece:
            raise CameraGone("stream: the camera has ended it")
        return piece


class _HangUp(BaseHandler):
    """Before the others: urllib asks again with a login, and leaves the connection open on which it was refused."""

    handler_order = 100

    def http_error_401(self, request: Request, answer: IO[bytes], *_: Any) -> None:
        answer.close()


def _open(url: str, patience_s: float) -> http.client.HTTPResponse:
    """Raises OSError (HTTPError and URLError are some), ValueError or HTTPException."""
    parts = urlsplit(url)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    logins = HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        logins.add_password(None, address, unquote(parts.username), unquote(parts.password or ""))
    ways = HTTPBasicAuthHandler(logins), HTTPDigestAuthHandler(logins)
    opener = build_opener(ProxyHandler({}), _HangUp, *ways)
    try:
        response: http.client.HTTPResponse = opener.open(address, timeout=patience_s)
    except HTTPError as error:
        error.close()
        raise
    except URLError as error:
        raise (error.reason if isinstance(error.reason, OSError) else error) from None
    return response
