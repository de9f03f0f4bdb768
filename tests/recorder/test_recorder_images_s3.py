"""Pictures in S3: a real server, real HTTP. Needs the extra `s3-test`."""

import json
import logging
import socket
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port
from support.probe import Probe
from support.recording import wait_recorded, wait_state

from pcb_bus.contract.codec import encode_json, encode_msgpack
from pcb_bus.contract.messages import Evidence, Verdict
from recorder.images import open_images
from recorder.service import RecorderService

_NEEDS = "needs `pip install -c constraints.txt -e '.[dev,s3-test]'`"
pytest.importorskip("s3fs", reason=_NEEDS)
ThreadedMotoServer: Any = pytest.importorskip("moto.server", reason=_NEEDS).ThreadedMotoServer
# botocore leaves its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

SECRET = "a-secret/that+nobody=reads"
PLACE = "s3://pictures/line"


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


def test_saves_lists_and_removes(s3: S3, make_jpeg: Callable[..., bytes]) -> None:
    store: Any = open_images(PLACE, s3.options)
    stored = store.save(make_jpeg())
    assert store.save(make_jpeg()) == stored
    assert store.written_bytes == len(make_jpeg())
    assert store.exists(stored.path)
    (found,) = store.files(stored.path[:2])
    assert found.path == stored.path
    assert abs(found.modified_at - time.time()) < 60
    assert list(store.files("00" if stored.path[:2] != "00" else "01")) == []
    assert not store.remove(stored.path)  # it was just saved
    after_restart = open_images(PLACE, s3.options)
    assert after_restart.remove(stored.path)
    assert not store.exists(stored.path)
    assert after_restart.remove(stored.path)
    assert store.save(make_jpeg()) == stored
    assert store.exists(stored.path)


def test_a_bucket_that_is_not_there_is_an_error_until_it_is(
    s3: S3, make_jpeg: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store: Any = open_images("s3://elsewhere/line", s3.options)
    store._pause_s = 0.0
    with pytest.raises(OSError, match="bucket does not exist") as caught:
        store.save(make_jpeg())
    assert not store.probe()
    s3.make_bucket("elsewhere")
    assert store.probe()
    assert store.failure is None
    assert list(store.files("00")) == []
    assert SECRET not in caplog.text + repr(store) + str(vars(caught.value)) + str(caught.value)


def test_a_server_that_goes_away_and_comes_back(s3: S3, make_jpeg: Callable[..., bytes]) -> None:
    store: Any = open_images(PLACE, s3.options)
    store._pause_s = 0.0
    s3.stop()
    with pytest.raises(OSError, match="store of images"):
        store.save(make_jpeg())
    assert SECRET not in str(store.failure)
    store.let_go(30)
    s3.start()
    assert store.probe()
    store.save(make_jpeg())


def test_a_server_that_hangs_costs_each_picture_little(make_jpeg: Callable[..., bytes]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}", "key": "k", "secret": SECRET}
        store: Any = open_images(PLACE, options)
        store._timeout_s = 0.5
        before = time.monotonic()
        with pytest.raises(OSError, match=r"in 0\.5 s"):
            store.save(make_jpeg(b"1"))
        for salt in (b"2", b"3"):
            with pytest.raises(OSError, match="does not answer"):
                store.save(make_jpeg(salt))
        assert time.monotonic() - before < 2
    store.let_go(40)
    assert not [thread for thread in threading.enumerate() if thread.name == "recorder-images"]


def test_the_recorder_keeps_its_pictures_there(
    s3: S3,
    start_recorder: Callable[..., RecorderService],
    viewer: Probe,
    mqtt_probe: Callable[..., Probe],
    database: Path,
    make_verdict: Callable[..., Verdict],
    make_evidence: Callable[..., Evidence],
    caplog: pytest.LogCaptureFixture,
) -> None:
    start_recorder(images=PLACE, image_options=s3.options)
    seen = wait_state(viewer, "online")
    inference = mqtt_probe("inference")
    inference.publish("pcb/evidence/left", encode_msgpack(make_evidence("1")))
    inference.publish("pcb/verdict", encode_json(make_verdict("1")))
    wait_recorded(viewer, "verdict-1")
    connection = sqlite3.connect(database)
    (path,) = connection.execute("SELECT image_path FROM inspections").fetchone()
    connection.close()
    assert open_images(PLACE, s3.options).exists(path)
    s3.stop()
    inference.publish("pcb/evidence/left", encode_msgpack(make_evidence("2")))
    inference.publish("pcb/verdict", encode_json(make_verdict("2")))
    seen = wait_state(viewer, "degraded", seen)
    wait_recorded(viewer, "verdict-2", timeout=20)
    s3.start()
    viewer.wait_for("pcb/status/recorder", lambda it: _is_online(it.payload) and it in viewer.messages[seen:], 40)
    assert SECRET not in caplog.text
    assert not [each for each in viewer.messages if SECRET.encode() in each.payload]


def _is_online(payload: bytes) -> bool:
    return bool(json.loads(payload)["state"] == "online")
