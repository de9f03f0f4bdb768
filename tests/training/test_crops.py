"""The stream of training crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from simulator.bare_board import DEFECT_CLASSES, DrawnBoard, NoRoomForDefects, draw_board
from training.augment import photograph
from training.crops import Crop, CropMaker, CropSettings, invert
from training.dataset import CLASS_NAMES, Sample

_PLAIN = CropSettings(template_share=0, drawn_share=0, inverted_share=0, rescaled_share=0)


def sample() -> Sample:
    board = draw_board(3, 640, 640, DEFECT_CLASSES)
    boxes = np.array([(d.x1, d.y1, d.x2, d.y2) for d in board.defects], float)
    return Sample("3", board.image[:, :, 0], boxes, tuple(range(6)))


def make(settings: CropSettings, count: int, seed: int = 1) -> list[Crop]:
    template = draw_board(3, 640, 640).image[:, :, 0]
    return list(islice(CropMaker([sample()], [template], settings, np.random.default_rng(seed)), count))


@pytest.mark.parametrize(
    "settings",
    [
        _PLAIN,
        replace(_PLAIN, drawn_share=1),
        replace(_PLAIN, template_share=1),
        replace(_PLAIN, rescaled_share=1),
        CropSettings(),
    ],
    ids=["real", "drawn", "template", "rescaled", "mixed"],
)
def test_crops_are_square_and_hold_their_boxes(settings: CropSettings) -> None:
    crops = make(settings, 40)
    assert any(crop.classes for crop in crops)
    for crop in crops:
        assert crop.image.shape == (320, 320)
        assert crop.image.dtype == np.uint8
        assert len(crop.boxes) == len(crop.classes)
        assert ((crop.boxes > -1e-6) & (crop.boxes < 320 + 1e-6)).all()
        assert (crop.boxes[:, 2:] > crop.boxes[:, :2]).all()


def test_the_same_seed_makes_the_same_crops() -> None:
    for a, b in zip(make(CropSettings(), 12, 5), make(CropSettings(), 12, 5), strict=True):
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.boxes, b.boxes)
        assert a.classes == b.classes


def test_there_are_crops_without_a_defect_among_the_drawn_and_the_painted() -> None:
    for settings in (replace(_PLAIN, drawn_share=1), replace(_PLAIN, template_share=1)):
        assert any(not crop.classes for crop in make(settings, 60))


def test_crops_around_defects_hold_one() -> None:
    assert all(crop.classes for crop in make(replace(_PLAIN, around_defect_share=1), 30))


def test_boards_alone_can_be_drawn_without_any_data() -> None:
    crops = list(islice(CropMaker([], [], CropSettings(), np.random.default_rng(0)), 6))
    assert len(crops) == 6


def test_inverting_exchanges_each_class_with_its_opposite() -> None:
    crop = Crop(np.array([[0, 255]], np.uint8), np.zeros((6, 4)), tuple(range(6)))
    inverted = invert(crop)
    assert inverted.image.tolist() == [[255, 0]]
    names = [CLASS_NAMES[index] for index in inverted.classes]
    assert names == ["short", "open_circuit", "spur", "mouse_bite", "pin_hole", "spurious_copper"]
    assert invert(inverted).classes == crop.classes


def test_a_photograph_keeps_copper_dark_and_laminate_bright() -> None:
    image = draw_board(9, 320, 320).image[:, :, 0]
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

    monkeypatch.setattr("training.crops.draw_board", draw)
    assert len(make(replace(_PLAIN, drawn_share=1), 3)) == 3
