"""A small folder in the DeepPCB layout, made of drawn boards."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from simulator.bare_board import DEFECT_CLASSES, draw_board
from training.datasets.layouts.deeppcb import CLASS_OF_TYPE, HELD_OUT_GROUPS

_TYPES = {name: kind for kind, name in CLASS_OF_TYPE.items()}
_TRAINED = (("group13000", "13000000"), ("group13000", "13000001"))
_HELD_OUT = tuple((group, f"{group.removeprefix('group')}007") for group in sorted(HELD_OUT_GROUPS))


@pytest.fixture
def deeppcb(tmp_path: Path) -> Path:
    return _write_folder(tmp_path / "deeppcb")


@pytest.fixture(scope="session")
def shared_deeppcb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for tests that only read it."""
    return _write_folder(tmp_path_factory.mktemp("shared") / "deeppcb")


def _write_folder(root: Path) -> Path:
    """Two pairs of 640x640 pixels in a group to train on, one in each group held out; six defects on each."""
    data = root / "PCBData"
    lines = [_write_pair(data, group, name, seed) for seed, (group, name) in enumerate(_TRAINED + _HELD_OUT)]
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
