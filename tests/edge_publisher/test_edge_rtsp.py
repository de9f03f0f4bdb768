"""`rtsp://` from a real server, GStreamer's, over a network that loses packets."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_publisher.camera import Camera
from edge_publisher.sources import CaptureRequest, Picture, open_source
from pcb_bus.runtime.backoff import Backoff

SERVER = Path(__file__).with_name("rtsp_server.py")
PYTHON = "/usr/bin/python3"
HAS_SERVER = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
Start = Callable[..., tuple[str, "subprocess.Popen[str]"]]


def has_server() -> bool:
    if not Path(PYTHON).exists():
        return False
    return subprocess.run([PYTHON, "-c", HAS_SERVER], check=False, capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(
    not has_server(), reason="no GStreamer RTSP server: apt-get install what `make test` does"
)


@pytest.fixture
def start_server() -> Iterator[Start]:
    """Starts a network camera of a kind, which loses a share of its packets; gives its port and its process."""
    if not has_server():
        pytest.skip("GStreamer's RTSP server is not installed: deploy/setup.sh dev gst-inspect-1.0")
    with ExitStack() as stack:

        def start(kind: str, loss: float, port: str = "0") -> tuple[str, subprocess.Popen[str]]:
            command = [PYTHON, str(SERVER), kind, str(loss), port]
            server = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            )
            stack.callback(server.kill)
            assert server.stdout is not None
            return server.stdout.readline().strip(), server

        yield start


class Watcher:
    """Counts what a camera tells."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.lost: list[str] = []
        self._changed = threading.Condition()

    def on_picture(self, picture: Picture) -> None:
        with self._changed:
            self.pictures.append(picture)
            self._changed.notify_all()

    def on_lost(self, detail: str) -> None:
        with self._changed:
            self.lost.append(detail)
            self._changed.notify_all()

    def on_back(self) -> None:
        pass

    def on_opened(self, refused: list[str]) -> None:
        pass

    def wait_for(self, *, pictures: int = 0, lost: int = 0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.pictures) >= pictures and len(self.lost) >= lost, 30), (
                self.lost
            )


def test_a_stream_that_loses_packets_goes_on_and_is_opened_again_when_its_camera_is_back(start_server: Start) -> None:
    port, server = start_server("h264", 0.05)
    address, watcher = f"rtsp://127.0.0.1:{port}/board", Watcher()
    camera = Camera(lambda: open_source(address, CaptureRequest()), watcher, 60, CaptureRequest(), Backoff(0.1, 0.2))
    camera.start()
    try:
        watcher.wait_for(pictures=20)
        server.kill()
        server.wait()
        watcher.wait_for(lost=2)
        assert any("refuses connections: is that the camera's RTSP port?" in each for each in watcher.lost)
        before = len(watcher.pictures)
        start_server("h264", 0.05, port)
        watcher.wait_for(pictures=before + 5)
    finally:
        camera.stop()
    times = [each.captured_at for each in watcher.pictures]
    assert times == sorted(times)
    assert {(each.width, each.height, each.jpeg) for each in watcher.pictures} == {(320, 240, None)}


def test_motion_jpeg_passes_through_undecoded_and_whole(start_server: Start) -> None:
    port, _ = start_server("mjpeg", 0.02)
    source = open_source(f"rtsp://127.0.0.1:{port}/board", CaptureRequest())
    pictures = [source.read() for _ in range(10)]
    source.close()
    assert all(each.image is None and each.pixels() is not None for each in pictures)
    assert {(each.width, each.height) for each in pictures} == {(320, 240)}
