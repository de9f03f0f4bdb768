"""Pictures on disk."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pcb_bus.errors import MessageRejected
from recorder.images import ImageStore


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
