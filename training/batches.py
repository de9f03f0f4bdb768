"""Batches of crops for the network, made one ahead of the training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from training.crops.crop import Crop

Batch = dict[str, torch.Tensor]
T = TypeVar("T")


def batches(crops: Iterator[Crop], names: tuple[str, ...], size: int, count: int) -> Iterator[Batch]:
    """That many batches; the next is cut while the network learns from the last.

    A thread does it, not a process: a process forked beside the arithmetic threads may wait for them for ever.
    """
    return one_ahead(lambda: collate(list(islice(crops, size)), names), count)


def one_ahead(make: Callable[[], T], count: int) -> Iterator[T]:
    """What `make` returns, called `count` times, each time while the consumer works on the last one."""
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(make)
        for _ in range(count - 1):
            ready = pending.result()
            pending = pool.submit(make)
            yield ready
        yield pending.result()


def collate(crops: Sequence[Crop], names: tuple[str, ...]) -> Batch:
    """The form that Ultralytics' losses take; a class' index is its place among `names`.

    `img` is (n, 3, size, size), red first, 0 to 1; for each box, `batch_idx` names its image, `cls` its class and
    `bboxes` its centre and size as shares of the image.
    """
    size = crops[0].image.shape[0]
    pixels = torch.from_numpy(np.stack([crop.image[:, :, ::-1] for crop in crops]))
    planes = pixels.permute(0, 3, 1, 2).float().div(255)
    boxes = np.concatenate([crop.boxes for crop in crops]) / size
    owner = np.repeat(np.arange(len(crops)), [len(crop.classes) for crop in crops])
    centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    return {
        "img": planes.contiguous(memory_format=torch.channels_last),
        "batch_idx": torch.from_numpy(owner).float(),
        "cls": torch.tensor([names.index(c) for crop in crops for c in crop.classes], dtype=torch.float32).view(-1, 1),
        "bboxes": torch.from_numpy(np.hstack([centre, extent])).float(),
    }
