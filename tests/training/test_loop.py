"""The learning rate, and what a batch looks like to the loss."""

from __future__ import annotations

import numpy as np
import pytest

from training.batches import collate, one_ahead
from training.crops.crop import Crop
from training.loop import TrainSettings, learning_rate

_SETTINGS = TrainSettings(crops=1000, warmup_crops=100, peak_rate=1.0, last_rate_share=0.01)


@pytest.mark.parametrize(("seen", "rate"), [(49, 0.5), (100, 1.0), (550, 0.505), (1000, 0.01), (5000, 0.01)])
def test_the_rate_warms_up_and_falls_along_a_cosine(seen: int, rate: float) -> None:
    assert learning_rate(seen, _SETTINGS) == pytest.approx(rate)


def test_a_batch_holds_boxes_as_shares_and_the_image_each_belongs_to() -> None:
    image = np.full((100, 100, 3), 255, np.uint8)
    empty = Crop(image, np.empty((0, 4)), ())
    two = Crop(image, np.array([[0, 0, 10, 20], [50, 50, 100, 100]], float), ("short", "spur"))
    batch = collate([empty, two, empty], ("spur", "open_circuit", "short"))
    assert batch["img"].shape == (3, 3, 100, 100)
    assert float(batch["img"].max()) == 1.0
    assert batch["batch_idx"].tolist() == [1, 1]
    assert batch["cls"].tolist() == [[2], [0]]
    assert batch["bboxes"].numpy() == pytest.approx(np.array([[0.05, 0.1, 0.1, 0.2], [0.75, 0.75, 0.5, 0.5]]))


def test_a_batch_holds_red_first() -> None:
    blue = np.zeros((32, 32, 3), np.uint8)
    blue[:, :, 0] = 255
    assert collate([Crop(blue, np.empty((0, 4)), ())], ())["img"][0, :, 0, 0].tolist() == [0, 0, 1]


def test_batches_are_made_one_ahead() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return made[-1]

    results = one_ahead(make, 3)
    assert next(results) == 0
    assert list(results) == [1, 2]
    assert made == [0, 1, 2]


def test_what_fails_in_the_making_of_a_batch_is_raised() -> None:
    def fail() -> int:
        raise ValueError("no crop")

    with pytest.raises(ValueError, match="no crop"):
        next(one_ahead(fail, 2))
