"""Batches of crops for the network, made in one worker process beside the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from training.boxes import Image
from training.crops import Crop, CropMaker, CropSettings
from training.dataset import Sample

Batch = dict[str, torch.Tensor]


class CropStream(IterableDataset[Crop]):
    """A given number of crops; the same seed gives the same crops."""

    def __init__(
        self, samples: Sequence[Sample], templates: Sequence[Image], settings: CropSettings, seed: int, count: int
    ) -> None:
        self._samples, self._templates, self._settings = samples, templates, settings
        self._seed, self._count = seed, count

    def __iter__(self) -> Iterator[Crop]:
        cv2.setNumThreads(1)
        maker = CropMaker(self._samples, self._templates, self._settings, np.random.default_rng(self._seed))
        return islice(iter(maker), self._count)


def load_batches(stream: CropStream, batch_size: int, workers: int) -> DataLoader[Crop]:
    """A loader of `Batch` dictionaries in the form that Ultralytics' losses take."""
    return DataLoader(
        stream,
        batch_size,
        num_workers=workers,
        collate_fn=collate,
        drop_last=True,
        prefetch_factor=4 if workers else None,
    )


def collate(crops: Sequence[Crop]) -> Batch:
    """`img` (n, 3, size, size), 0 to 1; per box `batch_idx`, `cls` and `bboxes` (centre and size, as shares)."""
    size = crops[0].image.shape[0]
    planes = torch.from_numpy(np.stack([crop.image for crop in crops])).float().div(255).unsqueeze(1)
    boxes = np.concatenate([crop.boxes for crop in crops]) / size
    owner = np.repeat(np.arange(len(crops)), [len(crop.classes) for crop in crops])
    centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return {
        "img": planes.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last),
        "batch_idx": torch.from_numpy(owner).float(),
        "cls": torch.tensor([c for crop in crops for c in crop.classes], dtype=torch.float32).view(-1, 1),
        "bboxes": torch.from_numpy(np.hstack([centre, extent])).float(),
    }
