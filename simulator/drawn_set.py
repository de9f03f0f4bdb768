"""Pictures of drawn boards as files: a labelled set for a detector, or good boards for the anomaly score."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import yaml

from pcb_bus.errors import ConfigError
from simulator.assembled.board import AssembledBoard
from simulator.assembled.defects import DEFECT_CLASSES
from simulator.bare_board import DrawnDefect
from simulator.line import SIDES
from simulator.painter import Image, assembled_drawer, exposed, sensor_noise
from simulator.schedule import Schedule

_JPEG_QUALITY = 85  # as an edge sends them


@dataclass(frozen=True, slots=True)
class DrawOptions:
    """What is drawn, and where to.

    Args:
        boards: of each side.
        good: boards without defects, as plain pictures in a folder for each side; else a set in YOLO's layout.
        split: name of the part of a set; a folder may hold several.
        width, height: of the pictures, pixels.
    """

    out: Path
    boards: int
    schedule: Schedule
    sides: Sequence[str] = SIDES
    good: bool = False
    split: str = "train"
    width: int = 640
    height: int = 480


def write_set(options: DrawOptions) -> str:
    """Draw the boards and write them. Returns what was done, for a person, with the rate of drawing.

    Raises:
        ConfigError: the folder already holds such pictures, or they are too small for the product.
    """
    folders = [_new_folder(options, side) for side in options.sides]
    began, count = time.perf_counter(), 0
    for side, folder in zip(options.sides, folders, strict=True):
        for name, board, picture in _boards(options, side):
            cv2.imwrite(str(folder / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
            count += 1
            if not options.good:
                _label_file(options, name).write_text(_yolo_lines(board.defects, options), encoding="utf-8")
    took = time.perf_counter() - began
    if not options.good:
        _describe(options.out)
    return f"{count} pictures in {options.out}, drawn in {took:.1f} s: {60 * count / took:.0f} a minute"


def _boards(options: DrawOptions, side: str) -> Iterator[tuple[str, AssembledBoard, Image]]:
    schedule = options.schedule
    draw = assembled_drawer(schedule, side, options.width, options.height)
    noise = sensor_noise(options.width, options.height, schedule.board_seed(-1, side))
    for index in range(options.boards):
        board = draw(index)
        odd = "".join(f"-{each.class_name}" for each in board.oddities)
        yield f"{side}-{index:05d}{odd}", board, exposed(board.image, noise[index % len(noise)])


def _new_folder(options: DrawOptions, side: str) -> Path:
    folder = options.out / side if options.good else options.out / "images" / options.split
    if any(folder.glob(f"{side}-*.jpg")):
        raise ConfigError(f"--out: {folder} already holds pictures of the {side} side")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _label_file(options: DrawOptions, name: str) -> Path:
    path = options.out / "labels" / options.split / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _yolo_lines(defects: Sequence[DrawnDefect], options: DrawOptions) -> str:
    """`class x y width height`, the box's centre and size as shares of the picture."""
    return "".join(
        f"{DEFECT_CLASSES.index(each.class_name)}"
        f" {(each.x1 + each.x2) / 2 / options.width:.6f} {(each.y1 + each.y2) / 2 / options.height:.6f}"
        f" {(each.x2 - each.x1) / options.width:.6f} {(each.y2 - each.y1) / options.height:.6f}\n"
        for each in defects
    )


def _describe(root: Path) -> None:
    parts = {folder.name: f"images/{folder.name}" for folder in sorted((root / "images").iterdir())}
    description = {"path": ".", **parts, "names": dict(enumerate(DEFECT_CLASSES))}
    (root / "data.yaml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
