"""A small folder in the DeepPCB layout, made of drawn boards."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from simulator.bare_board import DEFECT_CLASSES, draw_board
from training.deeppcb import CLASS_OF_TYPE

_TYPES = {name: kind for kind, name in CLASS_OF_TYPE.items()}
_PAIRS = (
    ("group00041", "00041000"),
    ("group00041", "00041001"),
    ("group44000", "44000000"),
    ("group50600", "50600007"),
)


@pytest.fixture
def deeppcb(tmp_path: Path) -> Path:
    return _write_folder(tmp_path / "deeppcb")


@pytest.fixture(scope="session")
def shared_deeppcb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for tests that only read it."""
    return _write_folder(tmp_path_factory.mktemp("shared") / "deeppcb")


def _write_folder(root: Path) -> Path:
    """Four pairs of 640x640 pixels in three groups, two of them among those held out; six defects on each."""
    data = root / "PCBData"
    lines = [_write_pair(data, group, name, seed) for seed, (group, name) in enumerate(_PAIRS)]
    (data / "trainval.txt").write_text("\n".join(lines) + "\n")
    return root


def _write_pair(data: Path, group: str, name: str, seed: int) -> str:
    number = group.removeprefix("group")
    images, labels = data / group / number, data / group / f"{number}_not"
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    board = draw_board(seed, 640, 640, DEFECT_CLASSES)
    cv2.imwrite(str(images / f"{name}_test.jpg"), board.image)
    cv2.imwrite(str(images / f"{name}_temp.jpg"), draw_board(seed, 640, 640).image)
    rows = (f"{d.x1} {d.y1} {d.x2} {d.y2} {_TYPES[d.class_name]}" for d in board.defects)
    (labels / f"{name}.txt").write_text("\n".join(rows) + "\n")
    return f"{group}/{number}/{name}.jpg {group}/{number}_not/{name}.txt"
