"""A product: the same two designs everywhere, none that a detector has learned from, with room for every defect."""

import numpy as np
import pytest

from simulator.assembled.defects import DEFECT_CLASSES
from simulator.assembled.substrate import paint_substrate
from simulator.product import HELD_OUT_DESIGNS, MOST_DEFECTS, design_of, draw_side
from training.crops.assembled import TRAINED_DESIGNS

SIDES = ("left", "right")


def test_detectors_learn_from_no_product() -> None:
    assert HELD_OUT_DESIGNS == TRAINED_DESIGNS


def test_the_sides_differ_in_layout_and_agree_in_colour() -> None:
    left, right = (design_of(1, side) for side in SIDES)
    assert not np.array_equal(left.copper, right.copper)
    assert left.look == right.look


def test_another_process_would_make_the_same_design() -> None:
    first = design_of(3, "left", 480, 360)
    design_of.cache_clear()
    second = design_of(3, "left", 480, 360)
    assert first is not second
    assert np.array_equal(first.copper, second.copper)
    assert (first.parts, first.look) == (second.parts, second.look)


@pytest.mark.parametrize("name", DEFECT_CLASSES)
def test_as_many_as_a_schedule_asks_for_are_drawn(name: str) -> None:
    board = draw_side(design_of(2, "right"), 7, [name] * MOST_DEFECTS)
    assert [each.class_name for each in board.defects] == [name] * MOST_DEFECTS


def test_solder_mask_over_changed_copper_is_as_if_all_were_painted() -> None:
    design = design_of(1, "left")
    copper = design.copper.copy()
    copper[100:110, 200:230] ^= 1
    copper[300:303, 20:400] ^= 1
    patched = paint_substrate(design, copper)
    whole = paint_substrate(type(design)(**{**vars(design), "copper": copper}), copper)
    assert np.abs(patched.astype(int) - whole).max() <= 1
    assert not np.array_equal(patched, paint_substrate(design, design.copper))
