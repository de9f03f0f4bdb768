"""The stream of training crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from simulator.assembled.defects import DEFECT_CLASSES as ASSEMBLED_CLASSES
from simulator.assembled.oddities import ODDITIES
from simulator.bare_board import DEFECT_CLASSES, DrawnBoard, NoRoomForDefects, draw_board
from training.augment import photograph
from training.crops.bare_copper import invert
from training.crops.crop import Crop, CropSettings
from training.crops.real import RealBoards
from training.crops.stream import REAL_ONLY, CropStream, Mix, classes_of
from training.datasets.form import Dataset, Sample

_NONE = Mix(real=0, templates=0, bare=0, assembled=0, inverted=0)
_SETTINGS = CropSettings()


def sample() -> Sample:
    board = draw_board(3, 640, 640, DEFECT_CLASSES)
    boxes = np.array([(d.x1, d.y1, d.x2, d.y2) for d in board.defects], float)
    return Sample("3", board.image[:, :, 0], boxes, tuple(d.class_name for d in board.defects))


def bare_dataset() -> Dataset:
    return Dataset(DEFECT_CLASSES, [sample()], [draw_board(3, 640, 640).image[:, :, 0]], bare_copper=True)


def make(mix: Mix, count: int, seed: int = 1, settings: CropSettings = _SETTINGS) -> list[Crop]:
    return list(islice(CropStream(bare_dataset(), mix, settings, np.random.default_rng(seed)), count))


@pytest.mark.parametrize(
    "mix",
    [
        replace(_NONE, real=1),
        replace(_NONE, bare=1),
        replace(_NONE, templates=1),
        replace(_NONE, assembled=1),
        Mix(),
    ],
    ids=["real", "bare", "template", "assembled", "mixed"],
)
def test_crops_are_square_in_colour_and_hold_their_boxes(mix: Mix) -> None:
    crops = make(mix, 40)
    assert any(crop.classes for crop in crops)
    for crop in crops:
        assert crop.image.shape == (320, 320, 3)
        assert crop.image.dtype == np.uint8
        assert len(crop.boxes) == len(crop.classes)
        assert ((crop.boxes > -1e-6) & (crop.boxes < 320 + 1e-6)).all()
        assert (crop.boxes[:, 2:] > crop.boxes[:, :2]).all()


def test_the_same_seed_makes_the_same_crops() -> None:
    for a, b in zip(make(Mix(), 12, 5), make(Mix(), 12, 5), strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.boxes, b.boxes)
        assert a.classes == b.classes


@pytest.mark.parametrize("mix", [replace(_NONE, bare=1), replace(_NONE, templates=1), replace(_NONE, assembled=1)])
def test_there_are_crops_without_a_defect_among_the_drawn_and_the_painted(mix: Mix) -> None:
    assert any(not crop.classes for crop in make(mix, 60))


def test_crops_around_defects_hold_one() -> None:
    settings = replace(_SETTINGS, around_defect_share=1)
    assert all(crop.classes for crop in make(replace(_NONE, real=1), 30, settings=settings))


def test_boards_alone_can_be_drawn_without_any_data() -> None:
    stream = CropStream(Dataset(DEFECT_CLASSES, []), Mix(), _SETTINGS, np.random.default_rng(0))
    assert len(list(islice(stream, 6))) == 6


def test_crops_of_assembled_boards_are_coloured() -> None:
    crops = make(replace(_NONE, assembled=1), 8)
    assert all(np.ptp(crop.image.astype(int).mean(axis=(0, 1))) > 2 for crop in crops)


def test_no_oddity_is_ever_trained_on() -> None:
    assert not set(ODDITIES) & set(classes_of(Mix(), DEFECT_CLASSES))


def test_a_mix_knows_the_classes_that_its_sources_show() -> None:
    assert set(classes_of(Mix(), DEFECT_CLASSES)) == set(ASSEMBLED_CLASSES)
    assert classes_of(Mix(), DEFECT_CLASSES)[: len(DEFECT_CLASSES)] == DEFECT_CLASSES
    assert classes_of(REAL_ONLY, ("spur",)) == ("spur",)


def test_photographs_of_ones_own_boards_are_never_inverted() -> None:
    white = Sample("white", np.full((320, 320), 255, np.uint8), np.empty((0, 4)), ())
    stream = CropStream(Dataset(("spur",), [white]), Mix(1, 0, 0, 0, 1.0), _SETTINGS, np.random.default_rng(0))
    assert all(crop.image.mean() > 128 for crop in islice(stream, 20))


def test_a_picture_smaller_than_a_crop_lies_on_grey() -> None:
    small = Sample("small", np.zeros((100, 200, 3), np.uint8), np.array([[10.0, 10, 20, 20]]), ("spur",))
    crop = RealBoards([small], replace(_SETTINGS, rescaled_share=0)).next_crop(np.random.default_rng(0))
    assert crop.image.shape == (320, 320, 3)
    assert crop.image[-1, -1].tolist() == [114, 114, 114]
    assert crop.boxes.tolist() == [[10, 10, 20, 20]]


def test_rare_classes_are_shown_more_often_than_they_occur() -> None:
    boxes = np.array([[20.0 * i, 20, 20.0 * i + 10, 30] for i in range(10)])
    common = [Sample(str(i), np.zeros((320, 320), np.uint8), boxes, ("spur",) * 10) for i in range(9)]
    rare = Sample("rare", np.zeros((320, 320), np.uint8), boxes[:1], ("short",))
    source = RealBoards([*common, rare], replace(_SETTINGS, around_defect_share=1))
    rng = np.random.default_rng(0)
    shown = sum("short" in source.next_crop(rng).classes for _ in range(1000))
    assert shown > 2 * 1000 / 91


def test_inverting_exchanges_each_class_with_its_opposite() -> None:
    names = tuple(name for name in DEFECT_CLASSES if name != "short")
    crop = Crop(np.array([[0, 255]], np.uint8), np.zeros((5, 4)), names)
    inverted = invert(crop)
    assert inverted.image.tolist() == [[255, 0]]
    opposites = dict(zip(names, inverted.classes, strict=True))
    assert opposites["open_circuit"] == "short"
    assert opposites["mouse_bite"] == "spur"
    assert opposites["pin_hole"] == "spurious_copper"


def test_a_crop_with_a_short_is_not_inverted() -> None:
    crop = Crop(np.array([[0, 255]], np.uint8), np.zeros((1, 4)), ("short",))
    assert invert(crop) is crop


@pytest.mark.parametrize("channels", [1, 3])
def test_a_photograph_keeps_copper_dark_and_laminate_bright(channels: int) -> None:
    drawn = draw_board(9, 320, 320).image
    image = drawn if channels == 3 else drawn[:, :, 0]
    for seed in range(30):
        seen = photograph(image, np.random.default_rng(seed))
        assert seen.shape == image.shape
        assert np.median(seen[image == 0]) < 90
        assert np.median(seen[image == 255]) > 165


def test_a_board_without_room_for_its_defects_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter([NoRoomForDefects("no room"), NoRoomForDefects("no room")])

    def draw(seed: int, width: int, height: int, defects: Sequence[str]) -> DrawnBoard:
        for refusal in refusals:
            raise refusal
        return draw_board(seed, width, height, defects)

    monkeypatch.setattr("training.crops.bare_copper.draw_board", draw)
    assert len(make(replace(_NONE, bare=1), 3)) == 3
