"""Detections read once more with the defect-free template of a bare board."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pcb_bus.contract.taxonomy import Taxonomy, load_taxonomy
from simulator.bare_board import draw_board
from training.boxes import Image
from training.datasets.form import Sample
from training.evaluation.average_precision import Boxed
from training.evaluation.examine import Examined
from training.evaluation.pictures import Picture
from training.evaluation.reference import reviewed, with_told

NAMES = ("short", "spur", "pin_hole", "mouse_bite", "open_circuit", "spurious_copper")
EMPTY = Boxed(np.empty((0, 4)), np.empty(0, np.int64), np.empty(0))


@pytest.fixture
def taxonomy() -> Taxonomy:
    return load_taxonomy(Path("config/pcb_defects.yaml"))


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


def test_a_box_where_nothing_changed_is_lost(taxonomy: Taxonomy) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=True))
    after = reviewed(found((45, 19, 70, 88, 0, 0.9)), seen, NAMES, taxonomy)
    assert not len(after.found.boxes)
    assert not len(after.called.boxes)


def test_a_confirmed_box_stays_and_is_the_surer(taxonomy: Taxonomy) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=False))
    after = reviewed(found((45, 19, 70, 88, 0, 0.9)), seen, NAMES, taxonomy)
    assert after.called.confidences == pytest.approx([0.9**0.5])
    assert after.called.classes.tolist() == [0]


def test_a_short_that_was_called_a_spur_is_called_a_short(taxonomy: Taxonomy) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=False))
    after = reviewed(found((45, 19, 70, 88, 1, 0.9)), seen, NAMES, taxonomy)
    assert after.called.classes.tolist() == [0]
    assert after.found.classes.tolist() == [0, 1]


def test_two_names_for_one_change_become_one_call(taxonomy: Taxonomy) -> None:
    seen = picture(two_tracks(joined=True), two_tracks(joined=False))
    after = reviewed(found((45, 19, 70, 88, 0, 0.6), (46, 19, 71, 88, 1, 0.9)), seen, NAMES, taxonomy)
    assert after.called.classes.tolist() == [0]
    assert after.called.confidences == pytest.approx([0.6**0.5])


def test_a_board_without_a_template_is_left_alone(taxonomy: Taxonomy) -> None:
    before = found((45, 19, 70, 88, 0, 0.9))
    assert reviewed(before, picture(two_tracks(joined=True), None), NAMES, taxonomy) is before


def test_a_picture_that_lies_aside_is_laid_on_its_template(taxonomy: Taxonomy) -> None:
    template = draw_board(3, 640, 480).image[:, :, 0]
    aside = cv2.warpAffine(
        template, np.array([(1.0, 0, 3), (0, 1, 2)]), (640, 480), borderMode=cv2.BORDER_CONSTANT, borderValue=255
    )
    boxes = found(*((x, y, x + 60, y + 60, 1, 0.9) for x in range(60, 500, 60) for y in range(60, 380, 60)))
    after = reviewed(boxes, picture(np.asarray(aside, np.uint8), template), NAMES, taxonomy)
    assert not len(after.called.boxes)


def test_a_template_of_another_size_is_refused(taxonomy: Taxonomy) -> None:
    with pytest.raises(ValueError, match="template"):
        reviewed(found(), picture(two_tracks(joined=True), two_tracks(joined=True)[:100]), NAMES, taxonomy)


def test_a_severe_call_is_not_read_as_a_minor_one_as_on_the_line(taxonomy: Taxonomy) -> None:
    bitten = two_tracks(joined=False)
    bitten[20:25, 50:60] = 255
    names = ("open_circuit", "mouse_bite")
    seen = picture(bitten, two_tracks(joined=False))
    after = reviewed(found((39, 9, 68, 33, 0, 0.9)), seen, names, taxonomy)
    assert [names[index] for index in after.called.classes] == ["open_circuit"]
    assert names[after.found.classes[0]] == "mouse_bite"


def test_a_template_may_tell_a_class_that_the_detector_does_not_know(taxonomy: Taxonomy) -> None:
    assert taxonomy.copper is not None
    names = with_told(("spur",), taxonomy.copper)
    seen = picture(two_tracks(joined=True), two_tracks(joined=False))
    after = reviewed(found((45, 19, 70, 88, 0, 0.9)), seen, names, taxonomy)
    assert [names[index] for index in after.called.classes] == ["short"]
