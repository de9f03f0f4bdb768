"""What a virtual line says to its services."""

from simulator.line import _thresholds
from simulator.schedule import ASSEMBLED, BARE


def test_bare_boards_are_not_judged_by_thresholds_of_assembled_ones() -> None:
    assert _thresholds(BARE)["confidence"] < 0.9
    assert not _thresholds(ASSEMBLED)
