"""A product: its two sides have designs of their own, the same in every process that asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from simulator.assembled.board import AssembledBoard, draw_assembled_board
from simulator.assembled.defects import DEFECT_CLASSES, has_room
from simulator.assembled.design import Design, choose_look, make_design
from simulator.assembled.photograph import Conditions
from simulator.bare_board import NoRoomForDefects

#: Designs below are those that detectors learn from; a line's products are none of them.
HELD_OUT_DESIGNS = 10_000
#: On one side of a board; so many of one class fit on every product.
MOST_DEFECTS = 3
#: Width and height, pixels; in smaller pictures hardly a design has room for them.
LEAST_SIZE = (480, 360)
_DESIGNS_TRIED = 20
_SEEDS_TRIED = 30
_NEXT_SEED = 2**40


@lru_cache(maxsize=8)
def design_of(product: int, side: str, width: int = 640, height: int = 480) -> Design:
    """One side of a product, on which defects find room; the colours are those of its other sides.

    Raises:
        NoRoomForDefects: the picture is too small for that.
    """
    if width < LEAST_SIZE[0] or height < LEAST_SIZE[1]:
        raise NoRoomForDefects(f"a drawn board needs {LEAST_SIZE[0]}x{LEAST_SIZE[1]} pixels, not {width}x{height}")
    look = choose_look(np.random.default_rng([product, 0x1006]))
    for attempt in range(_DESIGNS_TRIED):
        design = make_design(_design_seed(product, side, attempt), width, height)
        if all(has_room(design, [name] * MOST_DEFECTS) for name in DEFECT_CLASSES):
            return replace(design, look=look)
    raise NoRoomForDefects(f"no design of {width}x{height} pixels has room for every defect")


def draw_side(
    design: Design,
    seed: int,
    defects: Sequence[str] = (),
    oddities: Sequence[str] = (),
    conditions: Conditions | None = None,
) -> AssembledBoard:
    """One board with exactly those defects and oddities; where that seed's board has no room, another seed's.

    Raises:
        KeyError: a name that is neither.
        NoRoomForDefects: they do not fit on any of many boards.
    """
    for attempt in range(_SEEDS_TRIED):
        try:
            return draw_assembled_board(design, seed + attempt * _NEXT_SEED, defects, oddities, conditions)
        except NoRoomForDefects as error:
            refused = error
    raise refused


def _design_seed(product: int, side: str, attempt: int) -> int:
    digest = blake2b(f"{product}/{side}/{attempt}".encode(), digest_size=6).digest()
    return HELD_OUT_DESIGNS + int.from_bytes(digest)
