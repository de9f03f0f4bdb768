"""Where pictures lie: a folder, or what fsspec knows."""

import os
import resource
import signal
import stat
import threading
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pcb_bus.errors import ConfigError
from pcb_bus.runtime.settings import load_settings
from recorder.settings import RecorderLine, RecorderSettings
from records.picture_store import Folder, Remote, local_folder, open_store

PATH = "2026-11-21/0123abcd.jpg"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("place", ["folder", "memory://bucket/prefix"])
def test_a_picture_is_there_until_it_is_deleted(tmp_path: Path, place: str) -> None:
    def opened() -> Any:
        return open_store(place if "://" in place else str(tmp_path / place), {})

    opened().put(PATH, b"first")
    opened().put(PATH, b"second")  # as after a crash
    assert opened().exists(PATH)
    assert opened().get(PATH) == b"second"
    for _ in range(2):
        opened().delete(PATH)
        assert not opened().exists(PATH)
    with pytest.raises(FileNotFoundError, match=PATH):
        opened().get(PATH)


@pytest.mark.parametrize("path", ["../secret", "day/../../secret", "link"])
def test_nothing_outside_of_its_folder_is_read(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "images").get(path)


def test_a_folder_holds_files_and_no_empty_days(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    store.put(PATH, b"1")
    store.put("2026-11-21/other.jpg", b"2")
    assert (tmp_path / PATH).read_bytes() == b"1"
    store.delete(PATH)
    assert [path.name for path in files(tmp_path)] == ["other.jpg"]
    store.delete("2026-11-21/other.jpg")
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_for_the_recorders_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_store(str(tmp_path / "new" / "images"), {}).put(PATH, b"1")
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "new").rglob("*")}
    assert modes == {"images": 0o700, "2026-11-21": 0o700, "0123abcd.jpg": 0o600}
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_folder_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.write_text("a file stands where the folder should be")
    with pytest.raises(OSError, match="images"):
        Folder(folder).put(PATH, b"1")
    assert folder.is_file()


def test_a_full_disk_is_an_error_that_goes_away_with_room(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            store.put(PATH, bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert files(tmp_path) == []
    store.put(PATH, bytes(5000))
    assert store.exists(PATH)


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/a%20b", {}).put(PATH, b"1")
    assert (tmp_path / "a b" / PATH).is_file()
    assert local_folder(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert local_folder("s3://bucket/prefix") is None


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
        open_store(url, {})


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_missing_driver_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match=r"^recorder\.images: .*boardline\[s3\]"):
        open_store("s3://bucket/prefix", {"secret": "hidden"})


def test_a_store_that_hangs_is_asked_one_thing_at_a_time_and_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    system: Any = MemoryFileSystem(skip_instance_cache=True)
    pipe = system.pipe_file
    monkeypatch.setattr(system, "pipe_file", lambda *args: answers.wait(30) and pipe(*args))
    store = Remote(system, "/stuck", timeout_s=0.05)
    with pytest.raises(OSError, match="no answer"):
        store.put(PATH, b"1")
    with pytest.raises(OSError, match="does not answer"):
        store.put(PATH, b"2")  # at once, without another thread
    answers.set()
    store.let_go(5)
    store.put(PATH, b"2")
    assert store.exists(PATH)


def test_a_large_picture_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    system: Any = MemoryFileSystem(skip_instance_cache=True)
    pipe, goes_on = system.pipe_file, threading.Event()
    monkeypatch.setattr(system, "pipe_file", lambda *args: goes_on.wait(0.2) or pipe(*args))
    store = Remote(system, "/slow", timeout_s=0.01)
    store.put(PATH, bytes(600_000))  # 30 s
    assert store.exists(PATH)


def test_a_request_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    system: Any = MemoryFileSystem(skip_instance_cache=True)
    store = Remote(system, "/lost", timeout_s=0.05, lost_s=0)
    with monkeypatch.context() as patched:
        patched.setattr(system, "pipe_file", lambda *_: never.wait(30))
        with pytest.raises(OSError, match="no answer"):
            store.put(PATH, b"1")
    store.put(PATH, b"2")
    assert store.exists(PATH)
    never.set()


def test_an_error_of_the_store_does_not_quote_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"skip_instance_cache": True, "client": {"token": "a token+secret"}, "endpoint_url": "memory://here"}
    store: Any = open_store("memory://me:pass-word@bucket/prefix", options)

    def fail(*_: Any) -> None:
        raise RuntimeError("no such thing\nas memory://me:pass-word@here with a token+secret, a%20token%2Bsecret")

    monkeypatch.setattr(store._system, "pipe_file", fail)
    with pytest.raises(OSError, match=r"RuntimeError: no such thing as memory://me:\*\*\*@here with \*\*\*") as caught:
        store.put(PATH, b"1")
    shown = f"{caught.value} {store!r} {''.join(traceback.format_exception(caught.value))}"
    assert not [secret for secret in ("pass-word", "a token+secret", "%2Bsecret") if secret in shown]


def test_options_of_the_store_are_never_shown(tmp_path: Path) -> None:
    settings = RecorderSettings(images="sftp://me:hidden@storage/line", image_options={"secret": "hidden"})
    assert "hidden" not in repr(settings)
    file = tmp_path / "line.yaml"
    file.write_text("recorder: {image_options: [hidden]}")
    with pytest.raises(ConfigError, match="image_options") as caught:
        load_settings(RecorderLine, ["--config", str(file)])
    assert "hidden" not in str(caught.value)
