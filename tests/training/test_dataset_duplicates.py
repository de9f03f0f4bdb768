"""Which pictures count as the same, and which do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from simulator.assembled.board import draw_assembled_board
from simulator.assembled.design import make_design
from simulator.assembled.photograph import Conditions
from training.boxes import turn_image
from training.datasets.duplicates import find_same, tile_difference
from training.datasets.pictures import Picture, Unreadable, look_at

_Image = npt.NDArray[np.uint8]
_DESIGN = 20001  # never trained on
#: A fixture without any play and a light that never changes: boards of one product cannot look more alike.
_RIGID = Conditions(shift=0, turn=0, keystone=0, exposure=0, gradient=0, white_balance=0, motion=0)
_DEFECTS: tuple[tuple[str, ...], ...] = ((), (), ("pin_hole",), ("mouse_bite",), ("missing_component",), ("spur",))


def _boards(conditions: Conditions | None) -> list[_Image]:
    design = make_design(_DESIGN)
    drawn = (draw_assembled_board(design, seed, names, (), conditions) for seed, names in enumerate(_DEFECTS))
    return [board.image for board in drawn]


@pytest.fixture(scope="module")
def boards() -> list[_Image]:
    return _boards(_RIGID)


def _seen(images: list[_Image], folder: Path) -> list[Picture]:
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        assert cv2.imwrite(str(path), image)
    return [picture for picture in look_at(paths) if isinstance(picture, Picture)]


def _as_jpeg(image: _Image) -> _Image:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1), np.uint8)


def _halved(image: _Image) -> _Image:
    return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _noisy(image: _Image) -> _Image:
    return np.clip(image + np.random.default_rng(0).normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def _brighter(image: _Image) -> _Image:
    return np.clip(image * 1.15 + 8, 0, 255).astype(np.uint8)


def _blurred(image: _Image) -> _Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1.0), np.uint8)


def _turned(turn: int) -> Callable[[_Image], _Image]:
    return lambda image: turn_image(image, turn)


@pytest.mark.parametrize(
    "copy", [_as_jpeg, _halved, _noisy, _brighter, _blurred, *(_turned(turn) for turn in range(1, 8))]
)
def test_a_copy_is_found_among_boards_of_one_product(
    boards: list[_Image], copy: Callable[[_Image], _Image], tmp_path: Path
) -> None:
    pictures = _seen([*boards, copy(boards[1])], tmp_path)
    assert find_same(pictures) == [(1, len(boards))]


@pytest.mark.parametrize("conditions", [_RIGID, None], ids=["rigid", "usual"])
def test_boards_of_one_product_are_not_the_same_picture(conditions: Conditions | None, tmp_path: Path) -> None:
    pictures = _seen(_boards(conditions), tmp_path)
    assert find_same(pictures) == []
    assert min(tile_difference(a, b) for i, a in enumerate(pictures) for b in pictures[:i]) > 0.2


def test_pictures_without_contrast_are_compared_too(tmp_path: Path) -> None:
    assert find_same(_seen([np.full((40, 60, 3), 90, np.uint8)] * 2, tmp_path)) == [(0, 1)]


def test_unreadable_pictures_say_why(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((64, 64), np.uint8))[1].tobytes()
    contents = {"cut.jpg": jpeg[:-20], "empty.jpg": b"", "text.jpg": b"text"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    reasons = look_at([tmp_path / name for name in contents])
    assert all(isinstance(reason, Unreadable) for reason in reasons)
    assert [str(reason) for reason in reasons] == ["a JPEG that ends too early", "an empty file", "not an image"]


def test_what_a_phone_appends_to_a_jpeg_is_no_fault_of_it(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 96), np.uint8))[1].tobytes()
    preview = b"\xff\xe1" + (2 + len(jpeg)).to_bytes(2) + jpeg  # as Exif holds one
    film = b"\0" * 10_000
    for name, content in (("whole", jpeg[:2] + preview + jpeg[2:] + film), ("cut", jpeg[:2] + preview + jpeg[2:-500])):
        (tmp_path / f"{name}.jpg").write_bytes(content)
    whole, cut = look_at([tmp_path / "whole.jpg", tmp_path / "cut.jpg"])
    assert isinstance(whole, Picture)
    assert cut == "a JPEG that ends too early"
