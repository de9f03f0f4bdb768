"""The six DeepPCB defects painted on a copper mask.

There are three ways to spoil an edge or a surface, each with copper added or taken away: a blot apart from
every edge (spurious copper, pin hole), a tooth on an edge (spur, mouse bite) and a bridge from edge to edge
(short, open circuit). Whether a stain is the defect it should be is decided by topology: the connected pieces
around it, before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from simulator.drawing.shapes import Mask
from simulator.drawing.stains import Sites, Stain, blot, bridge, cut, tooth

Box = tuple[int, int, int, int]

#: What DeepPCB leaves between a defect and its label box (median over 300 images): left and top, right and bottom.
LABEL_MARGIN_BEFORE, LABEL_MARGIN_AFTER = 11, 8

_TRIES = 60
_SURROUND = 14
_SMALLEST_CHANGE = 25  # pixels


@dataclass(frozen=True)
class Recipe:
    """How one class comes about: whether it adds copper, its painter, and the pieces it makes or leaves."""

    adds_copper: bool
    paint: Callable[[Sites, np.random.Generator], Stain | None]
    copper_pieces: Callable[[int, int], bool]
    other_pieces: Callable[[int, int], bool]


def paint_defect(copper: Mask, class_name: str, rng: np.random.Generator, taken: list[Box]) -> Box | None:
    """Paint one defect on the mask in place and return its label box, or None when no place was found.

    `taken` holds the label boxes already on the board; the new one overlaps none of them and is appended.
    Raises KeyError for a class that is not one of the six.
    """
    recipe = RECIPES[class_name]
    sites = Sites(copper if recipe.adds_copper else np.asarray(1 - copper, np.uint8))
    for _ in range(_TRIES):
        stain = recipe.paint(sites, rng)
        box = stain and _apply(copper, recipe, stain, taken)
        if box:
            taken.append(box)
            return box
    return None


def _apply(copper: Mask, recipe: Recipe, stain: Stain, taken: list[Box]) -> Box | None:
    """Paint the stain if it lies on the board, apart from other defects, and makes the right pieces."""
    patch, x, y = stain
    height, width = copper.shape
    if x < 0 or y < 0 or x + patch.shape[1] > width or y + patch.shape[0] > height:
        return None
    region = copper[y : y + patch.shape[0], x : x + patch.shape[1]]
    changed = (patch > 0) & (region != recipe.adds_copper)
    if np.count_nonzero(changed) < _SMALLEST_CHANGE:
        return None
    ys, xs = np.nonzero(changed)
    box = _label_box(x + int(xs.min()), y + int(ys.min()), x + int(xs.max()), y + int(ys.max()))
    if not _is_free(box, width, height, taken):
        return None
    stained = np.zeros(copper.shape, np.uint8)
    stained[y : y + patch.shape[0], x : x + patch.shape[1]] = changed
    return box if _spoil(copper, recipe, stained, box) else None


def _spoil(copper: Mask, recipe: Recipe, stained: Mask, box: Box) -> bool:
    """Change the copper where it is stained, unless that would not make a defect of the recipe's class."""
    if recipe.paint is blot and not _amid_ground(copper, box, recipe.adds_copper):
        return False
    if not _is_clear_of_holes(copper, stained, box, recipe.adds_copper):
        return False
    window = np.s_[box[1] : box[3], box[0] : box[2]]
    after = np.where(stained[window], np.uint8(recipe.adds_copper), copper[window])
    if not _is_defect(recipe, copper[window], after):
        return False
    copper[window] = after
    return True


def _label_box(left: int, top: int, right: int, bottom: int) -> Box:
    return (
        left - LABEL_MARGIN_BEFORE,
        top - LABEL_MARGIN_BEFORE,
        right + 1 + LABEL_MARGIN_AFTER,
        bottom + 1 + LABEL_MARGIN_AFTER,
    )


def _is_free(box: Box, width: int, height: int, taken: list[Box]) -> bool:
    """Whether the box lies on the board and on no other box."""
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
    return inside and not any(_overlap(box, other) for other in taken)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _amid_ground(copper: Mask, box: Box, adds_copper: bool) -> bool:
    """Whether the ground of a blot reaches on beyond it: a blot in a small round pad would pass for a via."""
    top, left = max(box[1] - _SURROUND, 0), max(box[0] - _SURROUND, 0)
    around = copper[top : box[3] + _SURROUND, left : box[2] + _SURROUND] == (not adds_copper)
    frame = np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]])
    return float(frame.mean()) > 0.2


def _is_clear_of_holes(copper: Mask, stained: Mask, box: Box, adds_copper: bool) -> bool:
    """Whether no piece that the stain meets ends nearby: on a via's hole or ring nobody could tell the classes apart.

    A small pad may grow a spur or be shorted, so copper pieces count only where copper is taken away.
    """
    top, left = max(box[1] - _SURROUND, 0), max(box[0] - _SURROUND, 0)
    window = np.s_[top : box[3] + _SURROUND, left : box[2] + _SURROUND]
    met = cv2.dilate(stained[window], np.ones((3, 3), np.uint8)) > 0
    materials = (0,) if adds_copper else (0, 1)
    return all(_reaches_frame(np.asarray(copper[window] == material, np.uint8), met) for material in materials)


def _reaches_frame(material: Mask, met: npt.NDArray[np.bool_]) -> bool:
    pieces = cv2.connectedComponents(material, connectivity=8)[1]
    frame = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    return set(np.unique(pieces[met & (material > 0)])) <= set(np.unique(frame))


def _is_defect(recipe: Recipe, before: Mask, after: Mask) -> bool:
    """Whether the number of connected pieces of copper and of laminate changed as the class demands."""
    return recipe.copper_pieces(_pieces(before, 8), _pieces(after, 8)) and recipe.other_pieces(
        _pieces(np.asarray(1 - before, np.uint8), 4), _pieces(np.asarray(1 - after, np.uint8), 4)
    )


def _pieces(mask: Mask, connectivity: int) -> int:
    return int(cv2.connectedComponents(mask, connectivity=connectivity)[0]) - 1


def _same(before: int, after: int) -> bool:
    return after == before


def _one_more(before: int, after: int) -> bool:
    return after == before + 1


def _more(before: int, after: int) -> bool:
    return after > before


def _not_more(before: int, after: int) -> bool:
    return after <= before


RECIPES: dict[str, Recipe] = {
    "open_circuit": Recipe(False, cut, copper_pieces=_more, other_pieces=_not_more),
    "short": Recipe(True, bridge, copper_pieces=_not_more, other_pieces=_more),
    "mouse_bite": Recipe(False, tooth, copper_pieces=_same, other_pieces=_same),
    "spur": Recipe(True, tooth, copper_pieces=_same, other_pieces=_same),
    "spurious_copper": Recipe(True, blot, copper_pieces=_one_more, other_pieces=_same),
    "pin_hole": Recipe(False, blot, copper_pieces=_same, other_pieces=_one_more),
}
