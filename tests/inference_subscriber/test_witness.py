"""What good boards say to the detector's boxes."""

import numpy as np
import pytest

from inference_subscriber.engines.base import Anomaly, Detection
from inference_subscriber.witness import Witness

SIZE = (640, 480)
HERE, THERE = (100, 100, 130, 124), (400, 300, 424, 330)
COLD, BETWEEN, WARM = 0.2, 0.3, 0.5


def heat(here: float, there: float = 0.0) -> Anomaly:
    """Of cells of 8 pixels; the two boxes have a hot cell in them."""
    cells = np.full((60, 80), 10, np.uint8)
    cells[14, 13], cells[39, 51] = round(here * 256), round(there * 256)
    return Anomaly(max(here, there), (0.0, 0.0, 640.0, 480.0), cells)


def box(name: str, confidence: float, at: tuple[int, int, int, int] = HERE) -> Detection:
    return Detection(*map(float, at), confidence, name)


@pytest.fixture
def witness() -> Witness:
    return Witness(minor=frozenset({"spur"}))


@pytest.mark.parametrize(("place", "stands"), [(COLD, False), (BETWEEN, True), (WARM, True)])
def test_a_box_on_a_place_like_every_good_board_does_not_stand(witness: Witness, place: float, stands: bool) -> None:
    sure = box("short", 0.99)
    assert witness.settle([sure], [], heat(place), SIZE) == ((sure,) if stands else ())


@pytest.mark.parametrize(("place", "counts"), [(COLD, False), (BETWEEN, False), (WARM, True)])
def test_a_doubtful_box_counts_where_the_board_is_unlike_good_ones(
    witness: Witness, place: float, counts: bool
) -> None:
    doubtful = box("cold_joint", 0.12)
    assert witness.settle([], [doubtful], heat(place), SIZE) == ((doubtful,) if counts else ())


@pytest.mark.parametrize(("confidence", "counts"), [(0.12, False), (0.4, True)])
def test_a_doubtful_minor_defect_does_not_explain_heat_away(witness: Witness, confidence: float, counts: bool) -> None:
    doubtful = box("spur", confidence)
    assert witness.settle([], [doubtful], heat(WARM), SIZE) == ((doubtful,) if counts else ())


def test_one_place_has_one_doubtful_name_and_none_beside_a_sure_one(witness: Witness) -> None:
    likelier, other = box("cold_joint", 0.5), box("insufficient_solder", 0.3)
    assert witness.settle([], [other, likelier], heat(WARM), SIZE) == (likelier,)
    sure = box("short", 0.9)
    assert witness.settle([sure], [other, likelier], heat(WARM), SIZE) == (sure,)


def test_a_sure_minor_name_does_not_hush_a_doubtful_worse_one(witness: Witness) -> None:
    minor, worse = box("spur", 0.9), box("spurious_copper", 0.2)
    assert witness.settle([minor], [worse], heat(WARM), SIZE) == (minor, worse)
    assert witness.settle([worse], [minor], heat(WARM), SIZE) == (worse,)


def test_a_box_that_a_cold_place_refuses_leaves_no_doubtful_one_behind(witness: Witness) -> None:
    assert witness.settle([box("short", 0.9)], [box("short", 0.9)], heat(COLD), SIZE) == ()


def test_the_surest_comes_first(witness: Witness) -> None:
    doubtful, sure = box("cold_joint", 0.3), box("short", 0.9, THERE)
    assert witness.settle([sure], [doubtful], heat(WARM, WARM), SIZE) == (sure, doubtful)


def test_a_box_beyond_the_picture_has_no_heat(witness: Witness) -> None:
    assert witness.settle([box("short", 0.9, (640, 480, 660, 500))], [], heat(WARM), SIZE) == ()
