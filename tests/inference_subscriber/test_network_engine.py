"""What all engines share, with a network made up for the purpose."""

import numpy as np
import numpy.typing as npt
import pytest

from inference_subscriber.engines.base import DetectOptions
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.errors import EngineFault
from pcb_bus.contract.messages import ModelRef


class OneAnchor(NetworkEngine):
    """Sees the same anchor on every image: centre x, y, width, height, score."""

    def __init__(self, *numbers: float) -> None:
        super().__init__(("short",), ModelRef(name="one-anchor", sha256="0" * 64), DetectOptions())
        self._numbers = np.array(numbers, np.float32).reshape(1, 5, 1)

    def prepare(self, count: int, height: int, width: int) -> None:
        pass

    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.repeat(self._numbers, len(batch), axis=0)


BOARD = np.zeros((48, 64, 3), np.uint8)


def test_the_anchor_is_a_defect() -> None:
    (found,) = OneAnchor(20, 20, 10, 10, 0.9).detect([BOARD])
    assert [each.class_name for each in found.detections] == ["short"]


@pytest.mark.parametrize("broken", [(20, 20, 10, 10, np.nan), (np.nan, 20, 10, 10, 0.9), (20, 20, np.inf, 10, 0.9)])
def test_numbers_that_are_none_do_not_make_a_normal_board(broken: tuple[float, ...]) -> None:
    with pytest.raises(EngineFault, match="not finite"):
        OneAnchor(*broken).detect([BOARD])


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nor_do_feature_maps_that_hold_such_numbers(number: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The anomaly score of such a map would be no number either, and no verdict could be made of it."""
    network = OneAnchor(20, 20, 10, 10, 0.9)
    monkeypatch.setattr(network, "features", lambda: {8: np.full((1, 4, 8, 8), number, np.float32)})
    with pytest.raises(EngineFault, match="not finite"):
        network.look([BOARD])
