"""MJPEG over HTTP, from a server as cameras have it."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hand_fed import jpeg_of

from edge_publisher.sources import CameraGone, CaptureRequest, open_source
from edge_publisher.sources.mjpeg import HttpStream, Parts
from pcb_bus.contract.times import now_ns

JPEGS = [jpeg_of(16 * number, 16) for number in range(1, 5)]
WIDTHS = [16, 32, 48, 64]


def part(jpeg: bytes, *, length: bool = True, dashes: str = "--", line: str = "\r\n") -> bytes:
    header = [
        f"{dashes}board",
        "Content-Type: image/jpeg",
        *([f"Content-length: {len(jpeg)}"] if length else ()),
        "",
        "",
    ]
    return line.join(header).encode() + jpeg + line.encode()


class NetworkCamera(ThreadingHTTPServer):
    """Sends `pieces` one after the other to whoever asks for `/video`, then whatever it is told to do."""

    daemon_threads = True

    def __init__(self, pieces: list[bytes], boundary: str, login: str, challenge: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.pieces, self.boundary, self.login, self.challenge = pieces, boundary, login, challenge
        self.go_on = threading.Event()

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: NetworkCamera

    def do_GET(self) -> None:
        camera, given = self.server, self.headers.get("Authorization", "")
        if camera.login and camera.login not in given:
            self.send_response(401)
            self.send_header("WWW-Authenticate", camera.challenge)
            self.end_headers()
        elif self.path == "/other":
            self.send_error(404)
        elif self.path == "/":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={camera.boundary}")
            self.end_headers()
            with suppress(OSError):
                for piece in camera.pieces:
                    self.wfile.write(piece)
                camera.go_on.wait(10)

    def log_message(self, *_: object) -> None:
        pass


Start = Callable[..., NetworkCamera]


@pytest.fixture
def start_camera() -> Iterator[Start]:
    """Starts a network camera with what it sends."""
    with ExitStack() as stack:

        def start(
            pieces: list[bytes], boundary: str = "board", login: str = "", challenge: str = 'Basic realm="x"'
        ) -> NetworkCamera:
            camera = NetworkCamera(pieces, boundary, login, challenge)
            stack.callback(camera.server_close)
            stack.callback(camera.shutdown)
            stack.callback(camera.go_on.set)
            threading.Thread(target=camera.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            return camera

        yield start


@pytest.mark.parametrize("boundary", ["board", '"--board"'])
@pytest.mark.parametrize("length", [True, False])
def test_pictures_pass_through_as_they_came(start_camera: Start, boundary: str, length: bool) -> None:
    camera = start_camera([part(jpeg, length=length) for jpeg in JPEGS] + [b"--board"], boundary)
    source = open_source(f"http://{camera.where}/video", CaptureRequest())
    before = now_ns()
    pictures = [source.read() for _ in JPEGS]
    source.close()
    assert [picture.jpeg for picture in pictures] == JPEGS
    assert [picture.width for picture in pictures] == WIDTHS
    assert all(before - 10**9 <= picture.captured_at <= now_ns() for picture in pictures)


def test_broken_pictures_are_left_out_but_not_for_ever(start_camera: Start) -> None:
    camera = start_camera([part(JPEGS[0][:50]), part(JPEGS[1]), *[part(b"no picture")] * 10])
    source = open_source(f"http://{camera.where}/video", CaptureRequest())
    assert source.read().jpeg == JPEGS[1]
    with pytest.raises(CameraGone, match="10 broken pictures in a row"):
        source.read()
    source.close()


def test_a_camera_that_ends_the_stream_is_gone(start_camera: Start) -> None:
    camera = start_camera([part(JPEGS[0])])
    source = open_source(f"http://{camera.where}/video", CaptureRequest())
    source.read()
    camera.go_on.set()
    with pytest.raises(CameraGone, match="the camera has ended it"):
        source.read()


def test_a_camera_that_falls_silent_is_gone(start_camera: Start) -> None:
    camera = start_camera([part(JPEGS[0])])
    source = HttpStream(f"http://{camera.where}/video", patience_s=0.1)
    source.read()
    with pytest.raises(CameraGone, match="fallen silent"):
        source.read()


def test_a_closed_stream_gives_nothing(start_camera: Start) -> None:
    camera = start_camera([part(JPEGS[0])])
    source = open_source(f"http://{camera.where}/video", CaptureRequest())
    source.close()
    source.close()
    with pytest.raises(CameraGone):
        source.read()


@pytest.mark.parametrize(
    ("login", "challenge"),
    [
        (base64.b64encode(b"me:sec ret").decode(), 'Basic realm="x"'),
        ('username="me"', 'Digest realm="x", nonce="n", qop="auth"'),
    ],
)
def test_a_login_in_the_address_opens(start_camera: Start, login: str, challenge: str) -> None:
    camera = start_camera([part(JPEGS[0])], login=login, challenge=challenge)
    source = open_source(f"http://me:sec%20ret@{camera.where}/video", CaptureRequest())
    assert source.read().jpeg == JPEGS[0]
    source.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://{}/video", "asks for a login: http://<user>:<password>@…"),
        ("http://me:wrong@{}/video", "seems to refuse the login in edge.source"),
        ("http://me:geheim@{}/other", "has no stream '/other'"),
        ("http://me:gehe/im@{}/video", "not where a login ends"),
        ("http://127.0.0.1:1/video", "127.0.0.1:1 refuses connections: is that the camera's HTTP port?"),
        ("http://no-such-camera.invalid/video", "there is no host 'no-such-camera.invalid'"),
        ("https://{}/video", "has no certificate that this machine trusts"),
    ],
)
def test_what_is_wrong_is_one_line_without_a_password(start_camera: Start, address: str, words: str) -> None:
    camera = start_camera([], login=base64.b64encode(b"me:geheim").decode())
    with pytest.raises(CameraGone) as gone:
        open_source(address.format(camera.where), CaptureRequest())
    assert words in str(gone.value)
    assert not any(secret in str(gone.value) for secret in ("gehe", "wrong", "im@"))


def test_a_page_is_not_a_stream(start_camera: Start) -> None:
    camera = start_camera([])
    with pytest.raises(CameraGone, match="answers with text/html, not with a stream of MJPEG"):
        open_source(f"http://{camera.where}/", CaptureRequest())


class TestParts:
    @settings(max_examples=30)
    @given(
        cuts=st.lists(st.integers(0, 3000), max_size=12),
        length=st.booleans(),
        dashes=st.sampled_from(["--", ""]),
        line=st.sampled_from(["\r\n", "\n"]),
        preamble=st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]),
    )
    def test_the_pieces_do_not_matter(
        self, cuts: list[int], length: bool, dashes: str, line: str, preamble: bytes
    ) -> None:
        dashes = "--" if not length else dashes  # without lengths the boundary is all there is
        stream = preamble + b"".join(part(jpeg, length=length, dashes=dashes, line=line) for jpeg in JPEGS) + b"--board"
        places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
        parts, found = Parts("board"), []
        for number, (start, end) in enumerate(pairwise(places)):
            found += parts.feed(stream[start:end], 1000 * (number + 1))
        assert [body.rstrip(b"\r\n") for body, _ in found] == JPEGS
        assert [at for _, at in found] == sorted({at for _, at in found})

    @pytest.mark.parametrize(
        "stream", [b"x" * 70_000, b"--board\r\nContent-Length: 99999999\r\n\r\n", b"--board\r\n\r\n" + bytes(33 << 20)]
    )
    def test_what_has_no_end_is_no_stream(self, stream: bytes) -> None:
        with pytest.raises(CameraGone, match="is that a stream of MJPEG"):
            Parts("board").feed(stream, 0)
