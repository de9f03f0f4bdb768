"""Pictures on disk."""

import hashlib
import resource
import signal
import threading
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pcb_bus.errors import ConfigError, MessageRejected
from recorder.images import ImageStore, RemoteImages, open_images


def test_a_picture_is_named_by_its_content(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    jpeg = make_jpeg()
    stored = ImageStore(tmp_path).save(jpeg)
    sha256 = hashlib.sha256(jpeg).hexdigest()
    assert stored.path == f"{sha256[:2]}/{sha256}.jpg"
    assert (tmp_path / stored.path).read_bytes() == jpeg
    assert (stored.info.width, stored.info.height) == (640, 480)


def test_the_same_picture_twice_is_one_file(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    store = ImageStore(tmp_path)
    assert store.save(make_jpeg()) == store.save(make_jpeg())
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_disk_that_fails_leaves_nothing_behind(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    folder = tmp_path / "images"
    folder.write_text("a file stands where the folder should be")
    with pytest.raises(OSError, match="images"):
        ImageStore(folder).save(make_jpeg())
    assert folder.is_file()


def test_a_picture_that_is_none_is_not_written(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    for bad in (b"GIF89a", make_jpeg()[:-2], make_jpeg(width=0), make_jpeg(width=10_000, height=10_000)):
        with pytest.raises(MessageRejected):
            ImageStore(tmp_path).save(bad)
    assert not list(tmp_path.iterdir())


def test_what_was_just_saved_is_not_removed(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    store = ImageStore(tmp_path)
    stored = store.save(make_jpeg())
    assert not store.remove(stored.path)
    assert store.exists(stored.path)
    other = ImageStore(tmp_path)  # as after a restart
    assert other.remove(stored.path)
    other.save(make_jpeg())
    assert store.exists(stored.path)


def test_a_store_by_url_of_fsspec(make_jpeg: Callable[..., bytes]) -> None:
    store = open_images("memory://bucket/prefix", {})
    stored = store.save(make_jpeg())
    assert store.save(make_jpeg()) == stored
    assert store.written_bytes == len(make_jpeg())
    assert store.exists(stored.path)
    assert [file.path for file in store.files(stored.path[:2])] == [stored.path]
    again = open_images("memory://bucket/prefix", {})
    assert again.remove(stored.path)
    assert not again.exists(stored.path)
    again.remove(stored.path)


def test_a_file_url_is_a_folder(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    stored = open_images(f"file://{tmp_path}/a%20b", {}).save(make_jpeg())
    assert (tmp_path / "a b" / stored.path).is_file()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense://x/y", "unknown scheme nonsense"),
        ("s3://", "as in s3://bucket"),
        ("file://images", "file:///folder"),
    ],
)
def test_a_wrong_url_is_one_line_that_names_the_key(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^recorder\.images: .*{says}[^\n]*$"):
        open_images(url, {})


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_driver_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"^recorder\.images: .*boardline\[s3\]"):
        open_images("s3://bucket/prefix", {"secret": "hidden"})


def test_a_store_that_hangs_holds_nothing_up_and_is_used_again(
    make_jpeg: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    system: Any = MemoryFileSystem(skip_instance_cache=True)
    monkeypatch.setattr(system, "exists", lambda _: not answers.wait(30))
    store = RemoteImages(system, "/stuck", timeout_s=0.05, pause_s=0)
    with pytest.raises(OSError, match="no answer"):
        store.save(make_jpeg(b"1"))
    with pytest.raises(OSError, match="does not answer"):
        store.save(make_jpeg(b"2"))  # at once, without another thread
    assert store.failure
    answers.set()
    store.let_go(5)
    store.save(make_jpeg(b"2"))
    assert store.failure is None


def test_a_full_disk_is_an_error_that_goes_away_with_room(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    store = ImageStore(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.save(make_jpeg(b"x" * 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert store.failure
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert store.exists(store.save(make_jpeg(b"x" * 5000)).path)
    assert store.failure is None


def test_an_error_of_the_store_does_not_quote_what_is_secret(
    make_jpeg: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"skip_instance_cache": True, "client": {"token": "a token+secret"}, "endpoint_url": "memory://here"}
    store: Any = open_images("memory://me:pass-word@bucket/prefix", options)

    def fail(_: str) -> bool:
        raise RuntimeError("no such thing\nas memory://me:pass-word@here with a token+secret, a%20token%2Bsecret")

    monkeypatch.setattr(store._system, "exists", fail)
    with pytest.raises(OSError, match=r"RuntimeError: no such thing as memory://\*\*\*@here with") as caught:
        store.save(make_jpeg())
    shown = f"{caught.value} {store.failure} {store!r} {''.join(traceback.format_exception(caught.value))}"
    assert not [secret for secret in ("pass-word", "a token+secret", "%2Bsecret") if secret in shown]
