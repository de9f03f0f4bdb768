"""DeepPCB in the project's dataset form."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from training.datasets.errors import DatasetError
from training.datasets.form import BARE_COPPER, HELD_OUT, TRAIN, read_grey, read_held_out_groups
from training.datasets.layouts.deeppcb import CLASS_NAMES, HELD_OUT_GROUPS, Pair, read_pairs


def prepare(source: Path, root: Path, held_out_groups: frozenset[str] = HELD_OUT_GROUPS) -> dict[str, int]:
    """Convert DeepPCB at `source` into the dataset form at `root`; returns the number of images of each part.

    Raises DatasetError when the source is not in the DeepPCB layout or has no such group.
    """
    parts: dict[str, list[Pair]] = {TRAIN: [], HELD_OUT: []}
    for pair in read_pairs(source):
        parts[HELD_OUT if pair.group in held_out_groups else TRAIN].append(pair)
    if missing := held_out_groups - {pair.group for pair in parts[HELD_OUT]}:
        raise DatasetError(f"{source} has no {', '.join(sorted(missing))} to hold out")
    shutil.rmtree(root, ignore_errors=True)
    for part, pairs in parts.items():
        _write_part(root, part, pairs)
    _write_description(root, held_out_groups)
    return {part: len(pairs) for part, pairs in parts.items()}


def locate(source: Path, root: Path, held_out_groups: frozenset[str] = HELD_OUT_GROUPS) -> Path:
    """A dataset: `source` itself when it has this form, else DeepPCB converted at `root`, once for each split.

    Raises DatasetError when the source is neither.
    """
    if (source / "data.yaml").is_file():
        return source
    if not (root / "data.yaml").is_file() or read_held_out_groups(root) != held_out_groups:
        prepare(source, root, held_out_groups)
    return root


def _write_part(root: Path, part: str, pairs: Iterable[Pair]) -> None:
    folders = [root / kind / part for kind in ("images", "labels", "templates")]
    for folder in folders:
        folder.mkdir(parents=True)
    images, labels, templates = folders
    for pair in pairs:
        shutil.copyfile(pair.image, images / f"{pair.name}.jpg")
        shutil.copyfile(pair.template, templates / f"{pair.name}.jpg")
        height, width = read_grey(pair.image).shape
        (labels / f"{pair.name}.txt").write_text(_yolo_lines(pair, width, height))


def _write_description(root: Path, held_out_groups: frozenset[str]) -> None:
    description = {
        "path": ".",
        "train": f"images/{TRAIN}",
        "val": f"images/{HELD_OUT}",
        "names": dict(enumerate(CLASS_NAMES)),
        "held_out_groups": sorted(held_out_groups),
        "look": BARE_COPPER,
    }
    (root / "data.yaml").write_text(yaml.safe_dump(description, sort_keys=False))


def _yolo_lines(pair: Pair, width: int, height: int) -> str:
    return "".join(
        f"{CLASS_NAMES.index(d.class_name)} {(d.x1 + d.x2) / 2 / width:.6f} {(d.y1 + d.y2) / 2 / height:.6f}"
        f" {(d.x2 - d.x1) / width:.6f} {(d.y2 - d.y1) / height:.6f}\n"
        for d in pair.labels
    )
