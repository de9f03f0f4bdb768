"""The project's dataset form: the YOLO layout, with defect-free templates beside it.

    <root>/data.yaml                  names, and where the parts lie
    <root>/images/<part>/*.jpg        train and val, and test where there is one; DeepPCB's val is called held_out
    <root>/labels/<part>/*.txt        `class x_centre y_centre width height` in shares of the image; empty: a good board
    <root>/templates/<part>/*.jpg     defect-free boards, where there are any

Any folder of this form can be trained on; `make dataset` makes one from other layouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.boxes import Boxes, Image
from training.datasets.errors import DatasetError
from training.datasets.findings import Finding, Level
from training.datasets.layouts.deeppcb import BARE_COPPER
from training.datasets.layouts.yolo import load_description, names_of
from training.datasets.layouts.yolo_labels import parse_labels
from training.datasets.layouts.yolo_places import labels_of
from training.datasets.records import HELD_OUT, TEST, TRAIN, VAL, images_in

__all__ = ["HELD_OUT", "TEST", "TRAIN", "VAL"]  # the parts, for those who read them

_PARTS = (TRAIN, VAL, TEST)


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


def is_form(root: Path) -> bool:
    """Whether a folder has the project's own form: each part a folder below `images`, train and val among them."""
    if not (root / "data.yaml").is_file():
        return False
    parts = load_description(root / "data.yaml")
    given = {part: parts[part] for part in _PARTS if parts.get(part)}
    named = given.values()
    folders = [root / "images" / str(name).removeprefix("images/") for name in named]
    elsewhere = root / str(parts.get("path") or ".")
    here = not elsewhere.is_dir() or elsewhere.resolve() == root.resolve()
    placed = here and all(
        isinstance(name, str) and name.count("/") == 1 and name.startswith("images/") for name in named
    )
    return placed and {TRAIN, VAL} <= given.keys() and all(folder.is_dir() for folder in folders)


def read_held_out_groups(root: Path) -> frozenset[str]:
    """The DeepPCB groups that a dataset holds out: none for data from elsewhere."""
    return frozenset(_read_description(root).get("held_out_groups", ()))


def read_dataset(root: Path, part: str) -> Dataset:
    """One part of the dataset at `root`. Raises DatasetError when it has no images."""
    return Dataset(read_class_names(root), read_samples(root, part), read_templates(root, part), is_bare_copper(root))


def is_bare_copper(root: Path) -> bool:
    """Whether the dataset shows black copper on white laminate."""
    return bool(_read_description(root).get("look") == BARE_COPPER)


def read_samples(root: Path, part: str) -> list[Sample]:
    """All samples of one part, in the order of their names. Raises DatasetError when there are none."""
    names, folder = read_class_names(root), _folder_of(root, part)
    paths = _images(root / "images" / folder)
    if not paths:
        raise DatasetError(f"no images in {root / 'images' / folder}")
    return [_read_sample(path, labels_of(path), names) for path in paths]


def read_templates(root: Path, part: str) -> list[Image]:
    """The defect-free boards of one part (none is fine)."""
    return [read_grey(path) for path in _images(root / "templates" / _folder_of(root, part))]


def read_class_names(root: Path) -> tuple[str, ...]:
    """The class names of a dataset, in the order of their indices."""
    return names_of(_read_description(root), root / "data.yaml")


def read_image(path: Path) -> Image:
    """An image as its file has it: grey, uint8 height x width, or in colour, x 3 (BGR). Raises DatasetError."""
    return _decoded(path, cv2.IMREAD_ANYCOLOR)


def read_grey(path: Path) -> Image:
    """A grey image, uint8 height x width. Raises DatasetError when it cannot be read."""
    return _decoded(path, cv2.IMREAD_GRAYSCALE)


def _decoded(path: Path, mode: int) -> Image:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise DatasetError(f"not an image: {path}")
    return np.asarray(image, np.uint8)


def _images(folder: Path) -> list[Path]:
    return images_in(folder) if folder.is_dir() else []


def _folder_of(root: Path, part: str) -> str:
    """The folder of a part; `held_out` is whatever was never trained on: the part of that name, else test, else val."""
    description = _read_description(root)
    named = {key: Path(str(description[key])).name for key in _PARTS if description.get(key)}
    if part == HELD_OUT and HELD_OUT not in named.values():
        part = TEST if TEST in named else VAL
    if part in named:
        return named[part]
    if part in named.values():
        return part
    raise DatasetError(f"{root} has no part {part}: data.yaml names {', '.join(named) or 'none'}")


def _read_description(root: Path) -> dict[str, Any]:
    path = root / "data.yaml"
    if not path.is_file():
        raise DatasetError(f"no dataset in {root}: {path} is missing; run `make dataset FROM={root}`")
    return load_description(path)


def _read_sample(path: Path, label_path: Path, names: tuple[str, ...]) -> Sample:
    image = read_image(path)
    findings: list[Finding] = []
    labels = parse_labels(label_path, str(label_path), names, findings)
    for finding in findings:
        if finding.kind.level is Level.ERROR:
            raise DatasetError(str(finding))
    limits = np.array([image.shape[1], image.shape[0]] * 2, float)
    shares = np.array([(label.x1, label.y1, label.x2, label.y2) for label in labels], float).reshape(-1, 4)
    return Sample(path.stem, image, np.clip(shares, 0, 1) * limits, tuple(label.class_name for label in labels))
