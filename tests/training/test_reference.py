"""Detections read once more with the defect-free template of a bare board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pcb_bus.taxonomy import CopperNames, load_taxonomy
from training.boxes import Image
from training.datasets.form import Sample
from training.evaluation.average_precision import Boxed
from training.evaluation.examine import Examined
from training.evaluation.pictures import Picture
from training.evaluation.reference import reviewed

NAMES = ("short", "spur", "pin_hole")
EMPTY = Boxed(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0))


@pytest.fixture
def copper() -> CopperNames:
    names = load_taxonomy(Path("config/pcb_defects.yaml")).copper
    assert names is not None
    return names


def two_tracks(*, joined: bool) -> Image:
    board = np.full((120, 120), 255, np.uint8)
    board[20:30] = board[80:90] = 0
    if joined:
        board[30:80, 56:62] = 0
    return board


def picture(image: Image, template: Image | None) -> Picture:
    return Picture(Sample("one", image, np.empty((0, 4)), ()), "one", template)


def found(*rows: tuple[float, float, float, float, int, float]) -> Examined:
    table = np.array(rows, float).reshape(-1, 6)
    boxed = Boxed(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])
    return Examined("one", "one", EMPTY, boxed, boxed)


def test_a_box_where_nothing_changed_is_lost(copper: CopperNames) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=True))
    after = reviewed(found((45, 19, 70, 88, 0, 0.9)), seen, NAMES, copper)
    assert not len(after.found.boxes)
    assert not len(after.called.boxes)


def test_a_confirmed_box_stays_and_is_the_surer(copper: CopperNames) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=False))
    after = reviewed(found((45, 19, 70, 88, 0, 0.9)), seen, NAMES, copper)
    assert after.called.confidences == pytest.approx([0.9**0.5])
    assert after.called.classes.tolist() == [0]


def test_a_short_that_was_called_a_spur_is_called_a_short(copper: CopperNames) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=False))
    after = reviewed(found((45, 19, 70, 88, 1, 0.9)), seen, NAMES, copper)
    assert after.called.classes.tolist() == [0]
    assert after.found.classes.tolist() == [0, 1]


def test_two_names_for_one_change_become_one_call(copper: CopperNames) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=False))
    after = reviewed(found((45, 19, 70, 88, 0, 0.6), (46, 19, 71, 88, 1, 0.9)), seen, NAMES, copper)
    assert after.called.classes.tolist() == [0]
    assert after.called.confidences == pytest.approx([0.6**0.5])


def test_a_board_without_a_template_is_left_alone(copper: CopperNames) -> None:
    before = found((45, 19, 70, 88, 0, 0.9))
    assert reviewed(before, picture(two_tracks(joined=True), None), NAMES, copper) is before


def test_a_template_of_another_size_is_refused(copper: CopperNames) -> None:
    with pytest.raises(ValueError, match="template"):
        reviewed(found(), picture(two_tracks(joined=True), two_tracks(joined=True)[:100]), NAMES, copper)
