"""The project's dataset form: the YOLO layout, with defect-free templates beside it.

    <root>/data.yaml                      names, and where the parts lie
    <root>/images/{train,held_out}/*.jpg
    <root>/labels/{train,held_out}/*.txt  `class x_centre y_centre width height`, as shares of the image
    <root>/templates/{train,held_out}/*.jpg  defect-free boards

Any folder of this form can be trained on; `make dataset` makes one from other layouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from training.boxes import Boxes, Image
from training.datasets.errors import DatasetError

TRAIN, HELD_OUT = "train", "held_out"
BARE_COPPER = "bare_copper"
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


@dataclass(frozen=True)
class Sample:
    """One image (uint8, grey or BGR) with its boxes in pixels and the class name of each."""

    name: str
    image: Image
    boxes: Boxes
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """One part of a dataset. `bare_copper`: black copper on white laminate, as DeepPCB binarises its photographs."""

    class_names: tuple[str, ...]
    samples: Sequence[Sample]
    templates: Sequence[Image] = ()
    bare_copper: bool = False


def read_held_out_groups(root: Path) -> frozenset[str]:
    """The DeepPCB groups that a dataset holds out: none for data from elsewhere."""
    return frozenset(_read_description(root).get("held_out_groups", ()))


def read_dataset(root: Path, part: str) -> Dataset:
    """One part of the dataset at `root`. Raises DatasetError when it has no images."""
    names = read_class_names(root)
    bare_copper = _read_description(root).get("look") == BARE_COPPER
    return Dataset(names, read_samples(root, part), read_templates(root, part), bare_copper)


def read_samples(root: Path, part: str) -> list[Sample]:
    """All samples of one part, in the order of their names. Raises DatasetError when there are none."""
    names = read_class_names(root)
    paths = sorted(p for p in (root / "images" / part).glob("*") if p.suffix.lower() in _IMAGE_SUFFIXES)
    if not paths:
        raise DatasetError(f"no images in {root / 'images' / part}; run `python -m training prepare`")
    return [_read_sample(path, root / "labels" / part / f"{path.stem}.txt", names) for path in paths]


def read_templates(root: Path, part: str) -> list[Image]:
    """The defect-free boards of one part (none is fine)."""
    return [read_grey(path) for path in sorted((root / "templates" / part).glob("*.jpg"))]


def read_class_names(root: Path) -> tuple[str, ...]:
    """The class names of a dataset, in the order of their indices."""
    names = _read_description(root)["names"]
    return tuple(names[index] for index in sorted(names)) if isinstance(names, dict) else tuple(names)


def read_image(path: Path) -> Image:
    """An image as its file has it: grey, uint8 height x width, or in colour, x 3 (BGR). Raises DatasetError."""
    image = cv2.imread(str(path), cv2.IMREAD_ANYCOLOR)
    if image is None:
        raise DatasetError(f"not an image: {path}")
    return np.asarray(image, np.uint8)


def read_grey(path: Path) -> Image:
    """A grey image, uint8 height x width. Raises DatasetError when it cannot be read."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DatasetError(f"not an image: {path}")
    return np.asarray(image, np.uint8)


def _read_description(root: Path) -> dict[str, Any]:
    path = root / "data.yaml"
    if not path.is_file():
        raise DatasetError(f"no dataset in {root}: {path} is missing; run `python -m training prepare`")
    description: dict[str, Any] = yaml.safe_load(path.read_text())
    return description


def _read_sample(path: Path, label_path: Path, names: tuple[str, ...]) -> Sample:
    image = read_image(path)
    height, width = image.shape[:2]
    rows = [[float(field) for field in line.split()] for line in label_path.read_text().splitlines()]
    return Sample(path.stem, image, _to_pixels(rows, width, height), tuple(names[int(row[0])] for row in rows))


def _to_pixels(rows: Sequence[Sequence[float]], width: int, height: int) -> Boxes:
    table = np.array(rows, float).reshape(-1, 5)
    centre, half = table[:, 1:3], table[:, 3:5] / 2
    return np.asarray(np.hstack([centre - half, centre + half]) * np.array([width, height, width, height]))
