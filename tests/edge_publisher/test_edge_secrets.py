"""The password of a camera is the camera's: not the log's, the bus's or the console's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.probe import Probe

from broker import Broker
from edge_publisher.service import EdgeService
from edge_publisher.settings import EdgeLineSettings, EdgeSettings
from edge_publisher.sources import CameraGone, CaptureRequest, open_source
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import BrokerSettings

ROOT = Path(__file__).parents[2]
SOURCES = [
    "rtsp://admin:gehe/im@{camera}/live",
    "rtsp://admin:gehe@im@{camera}/live",
    "rtsp://admin:1234/geheim@{camera}/live",
    "rtsp://admin:geheim@{camera}/live",
    "rtsp://{camera}/user=admin&password=geheim&channel=1",
    "rtsp://{camera}/user=admin_password=geheim_channel=1_stream=0.sdp",
    "rtsp://{camera}/live?user=admin&PASSWORD=geheim",
    "rtsp://admin:비밀geheim@{camera}/live",
]


@pytest.fixture
def camera() -> Iterator[str]:
    """A network camera that refuses every login; gives its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_refuse_all, args=(listening,), daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _refuse_all(listening: socket.socket) -> None:
    with suppress(OSError):
        while True:
            threading.Thread(target=_refuse, args=(listening.accept()[0],), daemon=True).start()


def _refuse(connection: socket.socket) -> None:
    with closing(connection), suppress(OSError):
        while request := connection.recv(65_536).decode("latin-1"):
            sequence = next(line for line in request.splitlines() if line.startswith("CSeq"))
            status = "401 Unauthorized" if "Authorization" not in request else "404 Not Found"
            login = 'WWW-Authenticate: Basic realm="camera"\r\n'
            connection.sendall(f"RTSP/1.0 {status}\r\n{sequence}\r\n{login}\r\n".encode())


def hidden(text: str) -> bool:
    return not any(word in text for word in ("gehe", "im@", "1234", "비밀"))


@pytest.mark.parametrize("source", SOURCES)
def test_why_a_stream_does_not_open_names_no_password(source: str, camera: str) -> None:
    with pytest.raises(CameraGone) as gone:
        open_source(source.format(camera=camera), CaptureRequest())
    assert hidden(str(gone.value))


@pytest.mark.parametrize("source", [SOURCES[0], SOURCES[2]])
def test_a_password_that_has_to_be_encoded_is_told_so(source: str, camera: str) -> None:
    with pytest.raises(CameraGone, match="not where a login ends: in a user or password, write %40 for @, %2F for /"):
        open_source(source.format(camera=camera), CaptureRequest())


@pytest.mark.parametrize(
    "source",
    ["admin:geheim@10.0.0.9/live", "htp://admin:gehe/im@cam", "gopher://cam/?password=geheim", "rtsp:admin:gehe@im@c"],
)
def test_a_source_that_can_never_work_names_no_password(source: str) -> None:
    with pytest.raises(ConfigError, match=r"^edge\.source: ") as wrong:
        open_source(source, CaptureRequest())
    assert hidden(str(wrong.value))


@pytest.mark.parametrize("source", SOURCES[:3] + SOURCES[-3:])
def test_event_and_status_name_no_password(
    source: str, camera: str, broker: Broker, mqtt_probe: Callable[..., Probe], tmp_path: Path
) -> None:
    address = source.format(camera=camera)
    settings = EdgeLineSettings(
        broker=BrokerSettings(host=broker.host, port=broker.port, credentials=broker.credentials_folder),
        edge=EdgeSettings(side="left", source=address, trigger="free_run"),
    )
    viewer = mqtt_probe("viewer")
    viewer.subscribe("pcb/#")

    def fail() -> None:
        raise CameraGone(f"a driver says: no login at {address}")

    edge = EdgeService(settings, fail)  # type: ignore[arg-type,return-value]
    edge.start()
    try:
        event = viewer.wait_for("pcb/event/edge-left").payload.decode()
        status = viewer.wait_for("pcb/status/edge-left", lambda each: b"driver" in each.payload).payload.decode()
    finally:
        edge.stop()
    assert "***" in event
    assert "***" in status
    assert hidden(event + status)


@pytest.mark.parametrize("speaking", [False, True])
def test_console_and_log_name_no_password_even_where_ffmpeg_speaks(speaking: bool, camera: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PCB_EDGE__SOURCE": f"rtsp://admin:geheim@{camera}/live?password=gehe-im",
        **({"OPENCV_FFMPEG_LOGLEVEL": "56", "OPENCV_FFMPEG_DEBUG": "1"} if speaking else {}),
    }
    command = [sys.executable, "-m", "edge_publisher", "--side", "left", "--broker.port", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as edge:
        assert edge.stdout is not None
        lines = []
        for line in edge.stdout:
            lines.append(line)
            if "the camera is gone" in line:
                edge.terminate()
    said = "".join(lines)
    assert edge.returncode == 0
    assert ("Authorization: Basic ***" in said) == speaking
    assert "rtsp://admin:***@" in said
    assert hidden(said)
    assert hidden((tmp_path / "var" / "log" / "edge-left.log").read_text(encoding="utf-8"))
    assert "YWRtaW46" not in said
