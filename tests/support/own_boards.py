"""A small dataset of one's own boards: drawn assembled ones, in the project's dataset form."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import yaml

from simulator.assembled.board import AssembledBoard, draw_assembled_board
from simulator.assembled.design import Design, make_design

CLASSES = ("missing_component", "solder_bridge", "short")
_DESIGN = 10_007


def write_own_boards(root: Path, trained: int = 16, val: int = 4) -> Path:
    """Pictures of one design; each third board is good. One more is the part `test`."""
    for part, count, first in (("train", trained, 0), ("val", val, 1000), ("test", 1, 2000)):
        for kind in ("images", "labels"):
            (root / kind / part).mkdir(parents=True)
        for number in range(count):
            defects = () if number % 3 == 2 else CLASSES
            _write(root, part, f"board_{first + number:04}", _draw(first + number, defects))
    parts = {part: f"images/{part}" for part in ("train", "val", "test")}
    description = {"path": ".", **parts, "names": dict(enumerate(CLASSES))}
    (root / "data.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    return root


def _draw(seed: int, defects: tuple[str, ...]) -> AssembledBoard:
    return draw_assembled_board(_design(), seed, defects)


@cache
def _design() -> Design:
    return make_design(_DESIGN)


def _write(root: Path, part: str, name: str, board: AssembledBoard) -> None:
    cv2.imwrite(str(root / "images" / part / f"{name}.jpg"), board.image)
    height, width = board.image.shape[:2]
    rows = (
        f"{CLASSES.index(d.class_name)} {(d.x1 + d.x2) / 2 / width:.6f} {(d.y1 + d.y2) / 2 / height:.6f} "
        f"{(d.x2 - d.x1) / width:.6f} {(d.y2 - d.y1) / height:.6f}\n"
        for d in board.defects
    )
    (root / "labels" / part / f"{name}.txt").write_text("".join(rows))
