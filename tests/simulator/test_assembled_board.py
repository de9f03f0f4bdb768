"""Assembled boards: reproducible, with exactly the defects that were asked for, where the boxes say."""

from collections import Counter

import numpy as np
import pytest

from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from simulator.assembled.board import AssembledBoard, draw_assembled_board
from simulator.assembled.defects import DEFECT_CLASSES, Plan, choose
from simulator.assembled.design import Design, make_design
from simulator.assembled.oddities import ODDITIES
from simulator.assembled.photograph import Conditions
from simulator.assembled.placement import place_parts

STUDIO = Conditions(0, 0, 0, 0, 0, 0, (0.01, 0.02), 0, (0, 0.0), (100, 101))
SHADOW = 7  # a part's shadow lies beside it
DESIGNS = range(4)


@pytest.fixture(scope="module", params=DESIGNS)
def design(request: pytest.FixtureRequest) -> Design:
    return make_design(request.param)


def changed(board: AssembledBoard, twin: AssembledBoard) -> tuple[int, int, int, int]:
    """The box around all that differs."""
    difference = np.abs(board.image.astype(int) - twin.image).max(axis=2) > 12
    ys, xs = np.nonzero(difference)
    assert len(ys) > 8
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def test_every_class_of_the_taxonomy_can_be_drawn() -> None:
    assert set(DEFECT_CLASSES) == set(load_taxonomy(DEFAULT_TAXONOMY).classes)


def test_the_same_seeds_give_the_same_picture_and_others_another() -> None:
    design = make_design(1)
    first = draw_assembled_board(design, 5, ["short"]).image
    assert np.array_equal(first, draw_assembled_board(make_design(1), 5, ["short"]).image)
    assert not np.array_equal(first, draw_assembled_board(design, 6, ["short"]).image)
    assert not np.array_equal(make_design(1).copper, make_design(2).copper)


@pytest.mark.parametrize("name", DEFECT_CLASSES)
def test_a_defect_lies_in_its_box_and_nothing_else_changes(design: Design, name: str) -> None:
    board, twin = draw_assembled_board(design, 3, [name], (), STUDIO), draw_assembled_board(design, 3, (), (), STUDIO)
    (box,) = board.defects
    x1, y1, x2, y2 = changed(board, twin)
    assert box.class_name == name
    assert box.x1 - 2 <= x1 < x2 <= box.x2 + SHADOW
    assert box.y1 - 2 <= y1 < y2 <= box.y2 + SHADOW
    assert 0 <= box.x1 < box.x2 <= design.width
    assert 0 <= box.y1 < box.y2 <= design.height


@pytest.mark.parametrize("name", ODDITIES)
def test_an_oddity_shows_and_is_no_defect(design: Design, name: str) -> None:
    board, twin = draw_assembled_board(design, 4, (), [name], STUDIO), draw_assembled_board(design, 4, (), (), STUDIO)
    (box,) = board.oddities
    x1, y1, x2, y2 = changed(board, twin)
    assert board.defects == ()
    assert box.x1 - 4 <= (x1 + x2) / 2 <= box.x2 + 4
    assert box.y1 - 4 <= (y1 + y2) / 2 <= box.y2 + 4


def test_several_defects_are_all_there(design: Design) -> None:
    names = ["missing_component", "short", "cold_joint", "cold_joint", "solder_bridge", "pin_hole"]
    board = draw_assembled_board(design, 11, names)
    assert Counter(box.class_name for box in board.defects) == Counter(names)


def test_a_name_that_is_neither_is_refused() -> None:
    with pytest.raises(KeyError, match="rust"):
        draw_assembled_board(make_design(1), 1, ["rust"])


def test_rare_parts_are_spoiled_about_as_often_as_common_ones() -> None:
    design = make_design(1)
    looks = {part.name: part.kind.look for part in design.parts}
    rarest = min(set(looks.values()), key=list(looks.values()).count)
    usual, even = ([look for seed in range(60) for look in missing(design, seed, even=each)] for each in (False, True))
    assert even.count(rarest) > 2 * usual.count(rarest)


def missing(design: Design, seed: int, *, even: bool) -> list[str]:
    plan, rng = Plan(), np.random.default_rng(seed)
    choose(place_parts(design, rng), design, ["missing_component"] * 3, rng, plan, even=even)
    return [part.kind.look for part in design.parts if part.name in plan.missing]
