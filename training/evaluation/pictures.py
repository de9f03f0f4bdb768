"""What is evaluated: labelled pictures and the board that each belongs to; and such boards, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from simulator.assembled.defects import DEFECT_CLASSES as ASSEMBLED_CLASSES
from simulator.assembled.design import Design, make_design
from simulator.bare_board import DEFECT_CLASSES as BARE_CLASSES
from simulator.bare_board import DrawnDefect, NoRoomForDefects, draw_board
from simulator.product import draw_side
from training.boxes import Boxes, Image
from training.datasets.form import Sample

ASSEMBLED, BARE = "assembled", "bare"
#: Designs that thresholds are chosen on, and those of the figures; training keeps to lower ones.
FIRST_VALIDATION_DESIGN, FIRST_TEST_DESIGN = 10_000, 11_000
#: Training draws seeds of bare boards up to 2**62 at random.
_FIRST_BARE_SEED = 2**62
_DEFECTS_OF_A_BAD_BOARD = (1, 1, 1, 2, 2, 3)


@dataclass(frozen=True)
class Picture:
    """One image with its truth; `board` names what it is a side of."""

    sample: Sample
    board: str
    template: Image | None = None


@dataclass(frozen=True)
class DrawnSet:
    """Drawn boards of 640x480 as a camera sees them, every second one good.

    Args:
        look: assembled or bare.
        boards: how many; each is one picture.
        first_design: seed of the first design; at least 10,000, for lower ones are trained on.
        designs: how many designs they are of. Bare boards are each of their own.
    """

    look: str
    boards: int = 400
    first_design: int = FIRST_TEST_DESIGN
    designs: int = 100


def drawn_pictures(chosen: DrawnSet) -> Iterator[Picture]:
    """The same boards for the same set, one after the other."""
    draw = _assembled if chosen.look == ASSEMBLED else _bare
    for index in range(chosen.boards):
        yield draw(chosen, index)


def _assembled(chosen: DrawnSet, index: int) -> Picture:
    number = index * chosen.designs // chosen.boards  # neighbours share a design, for making one takes as long
    design, seed = _design(chosen.first_design + number), chosen.first_design * 1_000_000 + index
    board = draw_side(design, seed, _defects(ASSEMBLED_CLASSES, seed, index))
    return _picture(f"design{chosen.first_design + number}-{index}", board.image, board.defects)


@lru_cache(maxsize=2)
def _design(seed: int) -> Design:
    return make_design(seed)


def _bare(chosen: DrawnSet, index: int) -> Picture:
    seed = _FIRST_BARE_SEED + chosen.first_design * 1_000_000 + index
    for attempt in range(100):
        try:
            board = draw_board(seed, 640, 480, _defects(BARE_CLASSES, seed + attempt, index))
            return _picture(f"bare{index}", _photographed(board.image[:, :, 0], seed), board.defects)
        except NoRoomForDefects:
            continue
    raise NoRoomForDefects(f"no defects fit on the bare board of seed {seed}")


def _defects(classes: Sequence[str], seed: int, index: int) -> list[str]:
    if index % 2:
        return []
    rng = np.random.default_rng([seed, index])
    return [str(name) for name in rng.choice(classes, rng.choice(_DEFECTS_OF_A_BAD_BOARD))]


def _picture(name: str, image: Image, defects: Sequence[DrawnDefect]) -> Picture:
    boxes: Boxes = np.array([(d.x1, d.y1, d.x2, d.y2) for d in defects], float).reshape(-1, 4)
    return Picture(Sample(name, image, boxes, tuple(d.class_name for d in defects)), name)


def _photographed(image: Image, seed: int) -> Image:
    """With slight noise, through JPEG of quality 85."""
    noise = np.random.default_rng(seed).normal(0, 3, image.shape)
    noisy = np.clip(image + noise, 0, 255).astype(np.uint8)
    jpeg = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)
