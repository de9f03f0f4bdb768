"""Writes examined boards in the project's dataset form."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from training.datasets.boards import Board
from training.datasets.examine import Examined
from training.datasets.records import HELD_OUT, TEST, TRAIN, VAL, shown


def write_form(examined: Examined, root: Path, origin: str) -> None:
    """Write all boards below `root`, which must be empty or missing; `origin` tells this source from others."""
    names = _file_names(examined)
    for board, part, name in zip(examined.boards, examined.parts, names, strict=True):
        _write_board(root, board, part, name, examined.class_names)
    (root / "data.yaml").write_text(yaml.safe_dump(_description(examined, origin), sort_keys=False))


def _write_board(root: Path, board: Board, part: str, name: str, class_names: tuple[str, ...]) -> None:
    image, template = board.entry.image, board.entry.template
    targets = {kind: root / kind / part for kind in ("images", "labels", "templates")}
    for kind, folder in targets.items():
        if kind != "templates" or template:
            folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image, targets["images"] / f"{name}{image.suffix.lower()}")
    if template:
        shutil.copyfile(template, targets["templates"] / f"{name}{template.suffix.lower()}")
    (targets["labels"] / f"{name}.txt").write_text(_lines(board, class_names))


def _lines(board: Board, class_names: tuple[str, ...]) -> str:
    width, height = board.picture.width, board.picture.height
    return "".join(
        f"{class_names.index(name)} {(x1 + x2) / 2 / width:.6f} {(y1 + y2) / 2 / height:.6f}"
        f" {(x2 - x1) / width:.6f} {(y2 - y1) / height:.6f}\n"
        for (x1, y1, x2, y2), name in zip(board.boxes, board.classes, strict=True)
    )


def _description(examined: Examined, origin: str) -> dict[str, Any]:
    present, source = set(examined.parts), examined.source
    description: dict[str, Any] = {"path": ".", "train": f"images/{TRAIN}"}
    description["val"] = f"images/{HELD_OUT if HELD_OUT in present else VAL}"
    if TEST in present:
        description["test"] = f"images/{TEST}"
    description["names"] = dict(enumerate(examined.class_names))
    if source.held_out_groups:
        description["held_out_groups"] = sorted(source.held_out_groups)
    if source.look:
        description["look"] = source.look
    return description | {"origin": origin}


def _file_names(examined: Examined) -> list[str]:
    """The files' own names; where two have the same, with their folders."""
    root = examined.source.root
    entries = [board.entry for board in examined.boards]
    times = Counter(entry.name for entry in entries)
    return [entry.name if times[entry.name] == 1 else _with_folders(entry.image, root) for entry in entries]


def _with_folders(image: Path, root: Path) -> str:
    """`a/b.png` as `a-b-png`: the suffix too, for `b.jpg` may lie beside it."""
    return shown(image, root).strip("/").replace("/", "-").replace(".", "-")
