"""Crops of photographed and labelled boards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.crops.crop import Crop, CropSettings, cut
from training.datasets.form import Sample

_MOST_OFTEN = 4.0  # how much more often than by chance a rare class is shown


class RealBoards:
    """Crops of a dataset's images; rare classes are shown more often than they occur."""

    def __init__(self, samples: Sequence[Sample], settings: CropSettings) -> None:
        self._samples = [_large_enough(sample, settings.size) for sample in samples]
        self._settings = settings
        self._defects = [(s, i) for s, sample in enumerate(self._samples) for i in range(len(sample.classes))]
        self._shares = self._share_of_each_defect()

    def __len__(self) -> int:
        return len(self._samples)

    def next_crop(self, rng: np.random.Generator) -> Crop:
        if self._defects and rng.random() < self._settings.around_defect_share:
            sample_index, defect = self._defects[rng.choice(len(self._defects), p=self._shares)]
            sample = self._samples[sample_index]
            return cut(sample, self._settings, rng, around=sample.boxes[defect])
        return cut(self._samples[rng.integers(len(self._samples))], self._settings, rng)

    def _share_of_each_defect(self) -> npt.NDArray[np.float64]:
        names = [self._samples[s].classes[i] for s, i in self._defects]
        counts = Counter(names)
        most = max(counts.values(), default=1)
        weights = np.array([min(_MOST_OFTEN, (most / counts[name]) ** 0.5) for name in names], float)
        return np.asarray(weights / max(weights.sum(), 1e-9))


def _large_enough(sample: Sample, size: int) -> Sample:
    """A picture smaller than a crop lies in the corner of a grey one."""
    height, width = sample.image.shape[:2]
    below, beside = max(0, size - height), max(0, size - width)
    if not below and not beside:
        return sample
    image = cv2.copyMakeBorder(sample.image, 0, below, 0, beside, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return Sample(sample.name, np.asarray(image, np.uint8), sample.boxes, sample.classes)
