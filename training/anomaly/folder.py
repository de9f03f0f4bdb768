"""Good boards as a folder of pictures, all of one size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np

from inference_subscriber.engines.base import Image
from training.errors import TrainingError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, eq=False)
class GoodBoards:
    """Pictures (height x width x 3, BGR) and the files they came from."""

    paths: Sequence[Path]
    images: Sequence[Image]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.images[0].shape[:2]
        return width, height


def read_good_boards(folder: Path, least: int) -> GoodBoards:
    """All pictures of a folder, in the order of their names.

    Raises:
        TrainingError: fewer than `least`, or some that cannot be read, differ in size or are the same: names each.
    """
    if not folder.is_dir():
        raise TrainingError(f"no folder {folder}")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if len(paths) < least:
        raise TrainingError(
            f"{folder} holds {len(paths)} pictures: at least {least} good boards are needed, 60 are better"
        )
    images = {path: _read(path) for path in paths}
    usual = Counter(image.shape[:2] for image in images.values() if image is not None).most_common(1)
    problems = [f"{path}: {fault}" for path, image in images.items() if (fault := _fault(image, usual))]
    problems += [f"{path}: the same picture as {first.name}" for path, first in _copies(images)]
    if problems:
        raise problems_of(folder, problems)
    return GoodBoards(paths, [image for image in images.values() if image is not None])


def problems_of(folder: Path, problems: Sequence[str], advice: Sequence[str] = ()) -> TrainingError:
    """One error for all of them, one line each, and what is needed."""
    return TrainingError("\n  ".join((f"{len(problems)} pictures of {folder} cannot be used:", *problems, *advice)))


def _read(path: Path) -> Image | None:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def _copies(images: Mapping[Path, Image | None]) -> Iterator[tuple[Path, Path]]:
    """Each picture that is another's copy to the pixel, and that one: a board counted twice says nothing new."""
    first: dict[tuple[object, ...], Path] = {}
    for path, image in images.items():
        if image is not None:
            known = first.setdefault((image.shape, sha256(image.tobytes()).digest()), path)
            if known != path:
                yield path, known


def _fault(image: Image | None, usual: Sequence[tuple[tuple[int, ...], int]]) -> str:
    if image is None:
        return "not a picture"
    (height, width), _ = usual[0]
    if image.shape[:2] != (height, width):
        return f"{image.shape[1]} x {image.shape[0]} pixels, most have {width} x {height}"
    return ""
