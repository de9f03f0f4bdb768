"""The stream of crops that a detector learns from: several sources, each with its share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from training.augment import photograph
from training.boxes import Image
from training.crops.assembled import DrawnAssembledBoards
from training.crops.bare_copper import DrawnBareBoards, SpoiledTemplates, invert
from training.crops.crop import Crop, CropSettings, turn
from training.crops.real import RealBoards
from training.datasets.form import Dataset


class Source(Protocol):
    """Where crops come from."""

    def next_crop(self, rng: np.random.Generator) -> Crop:
        """Another one."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of the sources, by weight; a dataset without templates goes without theirs."""

    real: float = 0.2
    templates: float = 0.15
    bare: float = 0.1
    assembled: float = 0.55
    inverted: float = 0.3


#: For one's own boards: what the drawn boards look like is of no use there.
REAL_ONLY = Mix(real=1.0, templates=0.0, bare=0.0, assembled=0.0, inverted=0.0)


class CropStream:
    """An endless, seeded stream of finished crops: size x size x 3, BGR."""

    def __init__(self, dataset: Dataset, mix: Mix, settings: CropSettings, rng: np.random.Generator) -> None:
        real, templates = RealBoards(dataset.samples, settings), SpoiledTemplates(dataset.templates, settings)
        weighted: list[tuple[Source, float, float]] = [
            (real, mix.real if len(real) else 0.0, mix.inverted if dataset.bare_copper else 0.0),
            (templates, mix.templates if len(templates) and dataset.bare_copper else 0.0, mix.inverted),
            (DrawnBareBoards(settings), mix.bare, mix.inverted),
        ]
        self._photographed = [source for source, *_ in weighted]
        weighted.append((DrawnAssembledBoards(settings), mix.assembled, 0.0))
        self._sources = [(source, inverted) for source, _, inverted in weighted]
        shares = np.array([share for _, share, _ in weighted])
        self._shares = shares / shares.sum()
        self._rng = rng

    def __iter__(self) -> Iterator[Crop]:
        while True:
            source, inverted = self._sources[self._rng.choice(len(self._sources), p=self._shares)]
            crop = source.next_crop(self._rng)
            if self._rng.random() < inverted:
                crop = invert(crop)
            crop = turn(crop, self._rng)
            # The renderer of assembled boards is a camera of its own.
            image = photograph(crop.image, self._rng) if source in self._photographed else crop.image
            yield Crop(_in_colour(image), crop.boxes, crop.classes)


def _in_colour(image: Image) -> Image:
    return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


def classes_of(mix: Mix, dataset_names: Sequence[str]) -> tuple[str, ...]:
    """The classes that the sources of a mix can show."""
    from simulator.assembled.defects import DEFECT_CLASSES as ASSEMBLED
    from simulator.bare_board import DEFECT_CLASSES as BARE

    drawn = {*(ASSEMBLED if mix.assembled else ()), *(BARE if mix.bare or mix.templates else ())}
    return tuple(dict.fromkeys((*dataset_names, *sorted(drawn))))
