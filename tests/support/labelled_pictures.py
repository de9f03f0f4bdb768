"""Small pictures with labels, for tests of datasets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import yaml

WIDTH, HEIGHT = 96, 64
NAMES = ("short", "spur")


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """Blotches, BGR; another seed, other blotches."""
    blotches = np.random.default_rng(seed).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def write_picture(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(seed))
    return path


def write_yolo(root: Path, parts: dict[str, int], names: object = NAMES) -> Path:
    """That many pictures in each part, each with a short in its middle; all are different."""
    seed = 0
    for part, count in parts.items():
        for number in range(count):
            write_picture(root / "images" / part / f"{part}{number}.png", seed)
            write_labels(root, part, number, "0 0.5 0.5 0.25 0.25\n")
            seed += 1
    description = {"names": list(names) if isinstance(names, tuple) else names}
    description |= {part: f"images/{part}" for part in parts}
    (root / "data.yaml").write_text(yaml.safe_dump(description))
    return root


def write_labels(root: Path, part: str, number: int, text: str) -> None:
    path = root / "labels" / part / f"{part}{number}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
