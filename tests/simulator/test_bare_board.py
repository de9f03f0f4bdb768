"""Drawn boards: the same seed gives the same board, and the truth is where it is said to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.bare_board import DEFECT_CLASSES, NoRoomForDefects, draw_board, place_defects
from simulator.drawing.defects import RECIPES, paint_defect
from simulator.drawing.layout import draw_layout
from simulator.drawing.shapes import Block, Canvas

_SEEDS = st.integers(0, 2**32)
_ADDING = ("short", "spur", "spurious_copper")


def striped_board() -> np.ndarray:
    """Horizontal tracks, 24 pixels wide and 24 apart: there is room for each defect."""
    copper = np.zeros((320, 320), np.uint8)
    for top in range(20, 300, 48):
        copper[top : top + 24] = 1
    return copper


def pieces(mask: np.ndarray) -> int:
    return int(cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0]) - 1


def test_the_same_seed_draws_the_same_board() -> None:
    first, second = (draw_board(11, 640, 480, DEFECT_CLASSES) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.defects == second.defects


def test_another_seed_draws_another_board() -> None:
    assert not np.array_equal(draw_board(1).image, draw_board(2).image)


@settings(max_examples=15, deadline=None)
@given(seed=_SEEDS, defects=st.lists(st.sampled_from(DEFECT_CLASSES), max_size=6))
def test_a_board_carries_exactly_the_defects_asked_for(seed: int, defects: list[str]) -> None:
    board = draw_board(seed, 640, 480, defects)
    assert [d.class_name for d in board.defects] == defects
    assert board.image.shape == (480, 640, 3)
    assert board.image.dtype == np.uint8
    for d in board.defects:
        assert 0 <= d.x1 < d.x2 <= 640
        assert 0 <= d.y1 < d.y2 <= 480


@settings(max_examples=15, deadline=None)
@given(seed=_SEEDS)
def test_copper_changes_inside_the_boxes_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sound = draw_layout(640, 480, rng)
    spoiled = sound.copy()
    outside = np.ones(sound.shape, bool)
    for d in place_defects(spoiled, DEFECT_CLASSES, rng):
        changed = sound[d.y1 : d.y2, d.x1 : d.x2] != spoiled[d.y1 : d.y2, d.x1 : d.x2]
        assert changed.any(), d
        outside[d.y1 : d.y2, d.x1 : d.x2] = False
    assert np.array_equal(sound[outside], spoiled[outside])


@pytest.mark.parametrize("class_name", DEFECT_CLASSES)
def test_the_label_box_surrounds_the_defect_with_the_margins_of_deeppcb(class_name: str) -> None:
    copper = striped_board()
    before = copper.copy()
    box = paint_defect(copper, class_name, np.random.default_rng(3), [])
    ys, xs = np.nonzero(before != copper)
    assert box == (xs.min() - 11, ys.min() - 11, xs.max() + 9, ys.max() + 9)


@pytest.mark.parametrize("class_name", DEFECT_CLASSES)
def test_a_defect_adds_or_removes_copper_as_its_class_says(class_name: str) -> None:
    copper = striped_board()
    before = copper.copy()
    paint_defect(copper, class_name, np.random.default_rng(5), [])
    assert set(copper[before != copper]) == {int(class_name in _ADDING)}


@pytest.mark.parametrize(
    ("class_name", "copper_change", "laminate_change"),
    [
        ("open_circuit", 1, -1),
        ("short", -1, 1),
        ("mouse_bite", 0, 0),
        ("spur", 0, 0),
        ("spurious_copper", 1, 0),
        ("pin_hole", 0, 1),
    ],
)
def test_a_defect_does_to_the_net_what_its_class_means(
    class_name: str, copper_change: int, laminate_change: int
) -> None:
    copper = striped_board()
    before = copper.copy()
    assert paint_defect(copper, class_name, np.random.default_rng(8), []) is not None
    assert np.sign(pieces(copper) - pieces(before)) == copper_change
    assert np.sign(pieces(1 - copper) - pieces(1 - before)) == laminate_change


def test_defects_do_not_touch_each_other() -> None:
    board = draw_board(4, 640, 640, DEFECT_CLASSES * 2)
    cover = np.zeros((640, 640), int)
    for d in board.defects:
        cover[d.y1 : d.y2, d.x1 : d.x2] += 1
    assert cover.max() == 1


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(KeyError, match="cold_joint"):
        draw_board(1, 640, 480, ["cold_joint"])


def test_a_board_without_room_is_refused() -> None:
    with pytest.raises(NoRoomForDefects, match="40x40"):
        draw_board(1, 40, 40, ["short"] * 9)


def test_the_canvas_keeps_nets_apart() -> None:
    canvas = Canvas(100, 100, clearance=10)
    assert canvas.place([Block((10, 10), (20, 20))])
    assert not canvas.place([Block((36, 10), (20, 20))])
    assert canvas.place([Block((45, 10), (20, 20))])


def test_every_class_has_a_recipe() -> None:
    assert set(DEFECT_CLASSES) == set(RECIPES)
