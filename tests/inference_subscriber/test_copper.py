"""What a defect-free template says of a bare board: where something changed, and what it is."""

from itertools import count

import cv2
import numpy as np
import pytest
from support.bare_boards import as_jpeg, box_of, grey_board, noisy

from inference_subscriber.copper import CopperTemplate, Grey
from pcb_bus.contract.taxonomy import CopperNames, Taxonomy
from simulator.bare_board import DEFECT_CLASSES, DrawnDefect

LAMINATE, COPPER = 255, 0
FIRST_SEED = 20_000


@pytest.fixture
def names(taxonomy: Taxonomy) -> CopperNames:
    assert taxonomy.copper is not None
    return taxonomy.copper


@pytest.fixture
def two_tracks() -> Grey:
    """Two tracks of 20 pixels from left to right, 20 pixels apart."""
    board = np.full((120, 160), LAMINATE, np.uint8)
    board[30:50] = COPPER
    board[70:90] = COPPER
    return board


# y1, y2, x1, x2 of what is painted on the two tracks, and with what
STAINS = {
    "spurious_copper": (10, 18, 70, 80, COPPER),
    "spur": (50, 58, 70, 80, COPPER),
    "short": (50, 70, 70, 80, COPPER),
    "pin_hole": (36, 44, 70, 80, LAMINATE),
    "mouse_bite": (30, 40, 70, 80, LAMINATE),
    "open_circuit": (30, 50, 70, 80, LAMINATE),
}


def painted(board: Grey, stain: tuple[int, int, int, int, int]) -> Grey:
    y1, y2, x1, x2, material = stain
    spoiled = board.copy()
    spoiled[y1:y2, x1:x2] = material
    return spoiled


@pytest.mark.parametrize("class_name", DEFECT_CLASSES)
def test_each_class_has_its_topology(names: CopperNames, two_tracks: Grey, class_name: str) -> None:
    stain = STAINS[class_name]
    (change,) = CopperTemplate(two_tracks, names).changes(painted(two_tracks, stain))
    assert change.class_name == class_name
    y1, y2, x1, x2, _ = stain
    assert change.box == (x1 - 11, y1 - 11, x2 + 8, y2 + 8)


@pytest.mark.parametrize(
    ("stain", "class_name"),
    [((30, 48, 70, 80, LAMINATE), "mouse_bite"), ((52, 70, 70, 80, COPPER), "spur")],
    ids=["a bite that leaves a thread of two pixels", "a spur that ends two pixels before the next track"],
)
def test_a_thread_is_enough_to_part_or_to_join(
    names: CopperNames, two_tracks: Grey, stain: tuple[int, int, int, int, int], class_name: str
) -> None:
    (change,) = CopperTemplate(two_tracks, names).changes(painted(two_tracks, stain))
    assert change.class_name == class_name


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Grey, Grey, DrawnDefect]]:
    """60 boards without and with a defect; those left out were laid out anew for want of room for the defect."""
    found = []
    for seed in count(FIRST_SEED):
        good = grey_board(seed)[0]
        for class_name in DEFECT_CLASSES:
            bad, (defect,) = grey_board(seed, class_name)
            if ((good < 128) != (bad < 128)).mean() < 0.05:
                found.append((good, bad, defect))
        if len(found) >= 60:
            return found[:60]
    raise AssertionError


@pytest.mark.parametrize("degraded", [False, True], ids=["clean", "noise and JPEG"])
def test_drawn_defects_are_told_by_their_topology(
    names: CopperNames, pairs: list[tuple[Grey, Grey, DrawnDefect]], degraded: bool
) -> None:
    told = 0
    for seed, (good, bad, defect) in enumerate(pairs):
        shown = as_jpeg(noisy(bad, seed)) if degraded else bad
        (readings,) = CopperTemplate(good, names).read(shown, box_of(defect), [defect.class_name])
        told += [(each.class_name, each.weight) for each in readings] == [(defect.class_name, 1.0)]
    assert told >= 57


def test_a_class_that_the_topology_contradicts_comes_second(names: CopperNames, two_tracks: Grey) -> None:
    spoiled = painted(two_tracks, STAINS["short"])
    box = np.array([(60, 40, 90, 80)], float)
    (readings,) = CopperTemplate(two_tracks, names).read(spoiled, box, ["spur"])
    assert [each.class_name for each in readings] == ["short", "spur"]
    assert readings[0].confidence(0.8) > readings[1].confidence(0.8) > 0


def test_a_box_where_nothing_changed_has_no_reading(names: CopperNames, two_tracks: Grey) -> None:
    spoiled = painted(two_tracks, STAINS["short"])
    boxes = np.array([(10, 20, 40, 60), (60, 40, 90, 80)], float)
    nothing, something = CopperTemplate(two_tracks, names).read(spoiled, boxes, ["short", "short"])
    assert nothing == ()
    assert something != ()


def test_a_box_about_no_single_change_keeps_its_class(names: CopperNames, two_tracks: Grey) -> None:
    spoiled = painted(two_tracks, STAINS["short"])
    (readings,) = CopperTemplate(two_tracks, names).read(spoiled, np.array([(0, 0, 160, 120)], float), ["spur"])
    assert [each.class_name for each in readings] == ["spur"]
    assert readings[0].confidence(0.9) < 0.9


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + 4))
@pytest.mark.parametrize("further", [cv2.erode, cv2.dilate], ids=["wider", "narrower"])
def test_edges_seen_one_pixel_further_are_no_change(names: CopperNames, seed: int, further: object) -> None:
    board = smooth(grey_board(seed)[0])
    assert callable(further)
    seen = np.asarray(further(board, np.ones((3, 3), np.uint8)), np.uint8)
    template = CopperTemplate(board, names)
    assert (seen != board).sum() > 1000
    assert template.changes(seen) == []
    assert template.read(seen, np.array([(0, 0, 640, 480)], float), ["short"]) == [()]


def smooth(board: Grey) -> Grey:
    """Without the roughness of its edges, and without gaps and threads that a pixel would close or part."""
    shape = np.ones((7, 7), np.uint8)
    return np.asarray(
        cv2.morphologyEx(cv2.morphologyEx(board, cv2.MORPH_OPEN, shape), cv2.MORPH_CLOSE, shape), np.uint8
    )


def test_a_picture_of_another_size_is_refused(names: CopperNames, two_tracks: Grey) -> None:
    with pytest.raises(ValueError, match=r"\(100, 160\) and a template of \(120, 160\)"):
        CopperTemplate(two_tracks, names).read(two_tracks[:100], np.zeros((0, 4)), [])


def test_no_boxes_have_no_readings(names: CopperNames, two_tracks: Grey) -> None:
    assert CopperTemplate(two_tracks, names).read(two_tracks, np.zeros((0, 4)), []) == []
