"""What a user is told about a camera that does not open."""

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge_publisher.sources import CameraGone, CaptureRequest, open_source
from edge_publisher.sources.capture import open_camera
from edge_publisher.sources.causes import why_no_camera, why_no_stream, why_refused


def test_no_camera_at_all(tmp_path: Path) -> None:
    assert why_no_camera(0, tmp_path) == f"there is no {tmp_path}/video0, nor any other camera: is it plugged in?"


@pytest.mark.parametrize("named", ["video0", 0])
def test_another_camera_is_named(tmp_path: Path, named: str | int) -> None:
    (tmp_path / "video2").touch()
    target = named if isinstance(named, int) else str(tmp_path / named)
    assert why_no_camera(target, tmp_path) == f"there is no {tmp_path}/video0; there is {tmp_path}/video2"


def test_a_device_that_opens_but_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    (tmp_path / "video1").touch()
    cause = why_no_camera(1, tmp_path)
    assert "gives no pictures: another program has it, or it is no camera" in cause
    assert f"try {tmp_path}/video0" in cause


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_program_that_has_the_device_is_named(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    hold = f"device = open({str(device)!r}); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        cause = why_no_camera(0, tmp_path)
        other.communicate(b"\n")
    assert f"({other.pid}): end that program" in cause


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "no permission for /dev/video0: add the user to the group video, and log in again"),
        (errno.EBUSY, "/dev/video0 is in use by another program: end that one"),
        (errno.ENODEV, "/dev/video0: No such device: is it plugged in?"),
    ],
)
def test_a_refusal_names_its_cause_and_the_way_out(number: int, words: str) -> None:
    assert why_refused(OSError(number, os.strerror(number)), Path("/dev/video0"), "") == words


@pytest.mark.parametrize("spec", ["63", "/dev/video63"])
def test_a_camera_that_is_not_there_is_gone_not_misconfigured(spec: str) -> None:
    with pytest.raises(CameraGone, match=f"camera {spec}: there is no /dev/video63"):
        open_camera(spec, CaptureRequest())


@pytest.fixture
def answer(free_port: int) -> Iterator[Callable[[str], str]]:
    """A network camera that answers one request with this status; gives its address. Without a status, never."""
    with closing(socket.create_server(("127.0.0.1", free_port))) as server:
        threads: list[threading.Thread] = []

        def respond(status: str) -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(f"RTSP/1.0 {status}\r\nCSeq: 1\r\n\r\n".encode())

        def start(status: str) -> str:
            if status:
                threads.append(threading.Thread(target=respond, args=(status,)))
                threads[-1].start()
            return f"127.0.0.1:{free_port}"

        yield start
        for thread in threads:
            thread.join(10)


@pytest.mark.parametrize(
    ("login", "status", "words"),
    [
        ("", "401 Unauthorized", "asks for a login: rtsp://<user>:<password>@…"),
        ("me:secret@", "401 Unauthorized", "seems to refuse the login in edge.source"),
        ("", "404 Not Found", "has no stream '/board'"),
        ("", "200 OK", "answers, but gives no pictures that OpenCV can read"),
        ("", "", "does not answer: is the camera on, and in this network?"),
    ],
)
def test_what_a_network_camera_answers(answer: Callable[[str], str], login: str, status: str, words: str) -> None:
    where = answer(status)
    assert why_no_stream(f"rtsp://{login}{where}/board", 10 if status else 0.01) == f"{where} {words}"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rtsp://me:secret@no-such-camera.invalid/board", "there is no host 'no-such-camera.invalid'"),
        ("rtsp://127.0.0.1:99999/board", "edge.source has no valid host or port"),
        (f"rtsp://{'x' * 100}/board", "edge.source has no valid host or port"),
    ],
)
def test_an_address_that_cannot_be_right(url: str, words: str) -> None:
    assert words in why_no_stream(url)


def test_a_stream_that_is_refused_is_gone(free_port: int) -> None:
    with pytest.raises(CameraGone, match=f"stream: 127.0.0.1:{free_port} refuses connections: is that"):
        open_source(f"rtsp://me:secret@127.0.0.1:{free_port}/board", CaptureRequest())
