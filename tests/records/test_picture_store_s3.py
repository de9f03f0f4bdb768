"""Pictures in S3: a real server, real HTTP. Needs the extra `s3-test`."""

import logging
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port
from support.probe import Probe
from support.recording import recorded, wait_recorded, wait_state

from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Evidence, Verdict
from recorder.service import RecorderService
from records.picture_store import open_store
from records.tables import DefectImage

_NEEDS = "needs `pip install -c constraints.txt -e '.[dev,s3-test]'`"
pytest.importorskip("s3fs", reason=_NEEDS)
ThreadedMotoServer: Any = pytest.importorskip("moto.server", reason=_NEEDS).ThreadedMotoServer
# botocore leaves its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

SECRET = "a-secret/that+nobody=reads"
PLACE = "s3://pictures/line"
PATH = "2026-11-21/0123abcd.jpg"


class S3:
    """A server that can go away and come back with what it holds."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: Any = None

    @property
    def options(self) -> dict[str, Any]:
        return {"endpoint_url": f"http://127.0.0.1:{self.port}", "key": "recorder", "secret": SECRET}

    def start(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def make_bucket(self, name: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=10).close()


@pytest.fixture
def s3() -> Iterator[S3]:
    server = S3()
    server.start()
    server.make_bucket("pictures")
    yield server
    server.stop()


def test_a_picture_is_there_until_it_is_deleted(s3: S3) -> None:
    store = open_store(PLACE, s3.options)
    for _ in range(2):
        store.put(PATH, b"picture")
        assert open_store(PLACE, s3.options).exists(PATH)
    for _ in range(2):
        store.delete(PATH)
        assert not open_store(PLACE, s3.options).exists(PATH)
    assert store.free_bytes() is None


def test_a_bucket_that_is_not_there_is_an_error_until_it_is(s3: S3, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = open_store("s3://elsewhere/line", s3.options)
    with pytest.raises(OSError, match="bucket does not exist") as caught:
        store.put(PATH, b"picture")
    s3.make_bucket("elsewhere")
    store.put(PATH, b"picture")
    assert SECRET not in caplog.text + repr(store) + str(vars(caught.value)) + str(caught.value)


def test_a_server_that_goes_away_and_comes_back(s3: S3) -> None:
    store: Any = open_store(PLACE, s3.options)
    s3.stop()
    with pytest.raises(OSError, match="store of images") as caught:
        store.put(PATH, b"picture")
    assert SECRET not in str(caught.value)
    store.let_go(30)
    s3.start()
    store.put(PATH, b"picture")


def test_a_server_that_hangs_costs_little() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}", "key": "k", "secret": SECRET}
        store: Any = open_store(PLACE, options)
        store._timeout_s = 0.5
        with pytest.raises(OSError, match=r"in 0\.5 s"):
            store.put(PATH, b"1")
        before = time.monotonic()
        for _ in range(2):
            with pytest.raises(OSError, match="does not answer"):
                store.put(PATH, b"2")
        assert time.monotonic() - before < 0.5
    store.let_go(40)
    assert not [thread for thread in threading.enumerate() if thread.name == "recorder-images"]


def test_what_comes_while_it_is_away_is_stored_later(
    s3: S3,
    start_recorder: Callable[..., RecorderService],
    viewer: Probe,
    mqtt_probe: Callable[..., Probe],
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    start_recorder(images=PLACE, image_options=s3.options)
    seen = wait_state(viewer, "online")
    inference = mqtt_probe("inference")

    def send(name: str) -> None:
        inference.publish("pcb/evidence/left", encode_msgpack(make_evidence(name)))
        inference.publish("pcb/verdict", encode_json(make_verdict(name)))
        wait_recorded(viewer, f"verdict-{name}")

    send("1")
    wait_recorded(viewer, "verdict-1/left", kind="evidence")
    s3.stop()
    send("2")
    seen = wait_state(viewer, "degraded", seen)
    s3.start()
    wait_recorded(viewer, "verdict-2/left", kind="evidence", timeout=40)
    wait_state(viewer, "online", seen)
    assert all(open_store(PLACE, s3.options).exists(path) for path in recorded(tmp_path, DefectImage.path))
    assert SECRET not in caplog.text
    assert not [each for each in viewer.messages if SECRET.encode() in each.payload]
