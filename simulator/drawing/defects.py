"""The six DeepPCB defects painted on a copper mask.

There are three ways to spoil an edge or a surface, each with copper added or taken away: a blot apart from
every edge (spurious copper, pin hole), a tooth on an edge (spur, mouse bite) and a bridge from edge to edge
(short, open circuit). Taking away is adding on the inverted mask, so one painter may serve both. Whether the stain is
the defect it should be is decided by topology: the connected pieces around it, before and after.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from simulator.drawing.shapes import Mask

Box = tuple[int, int, int, int]
Stain = tuple[Mask, int, int]  # patch of the stain, and where its left upper corner lies

#: What DeepPCB leaves between a defect and its label box (median over 300 images): left and top, right and bottom.
LABEL_MARGIN_BEFORE, LABEL_MARGIN_AFTER = 11, 8

_TRIES = 60
_LONGEST_BRIDGE = 56
_PATCH = 96
_SURROUND = 14


@dataclass(frozen=True)
class Recipe:
    """How one class comes about: whether it adds copper, its painter, and the pieces it makes or leaves."""

    adds_copper: bool
    paint: Callable[[Sites, np.random.Generator], Stain | None]
    copper_pieces: Callable[[int, int], bool]
    other_pieces: Callable[[int, int], bool]


class Sites:
    """Where a stain may start on a mask, for the material that the stain adds."""

    def __init__(self, material: Mask) -> None:
        self.material = material
        self._edges: npt.NDArray[np.intp] | None = None
        self._depth: npt.NDArray[np.float32] | None = None

    def edge(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """A random pixel (x, y) of the material's border."""
        if self._edges is None:
            inner = cv2.erode(self.material, np.ones((3, 3), np.uint8))
            self._edges = np.flatnonzero(self.material != inner)
        return self._pick(self._edges, rng)

    def open_ground(self, clearance: float, rng: np.random.Generator) -> tuple[int, int] | None:
        """A random pixel (x, y) at least `clearance` away from the material."""
        if self._depth is None:
            self._depth = np.asarray(cv2.distanceTransform(1 - self.material, cv2.DIST_L2, 3), np.float32)
        return self._pick(np.flatnonzero(self._depth > clearance), rng)

    def outward(self, x: int, y: int) -> tuple[float, float] | None:
        """The unit vector that leads away from the material at an edge pixel."""
        patch = self.material[max(y - 5, 0) : y + 6, max(x - 5, 0) : x + 6]
        if patch.shape != (11, 11):
            return None
        ys, xs = np.nonzero(patch)
        dx, dy = 5 - float(xs.mean()), 5 - float(ys.mean())
        length = math.hypot(dx, dy)
        return None if length < 0.6 else (dx / length, dy / length)

    def distance_across(self, x: int, y: int, direction: tuple[float, float]) -> int | None:
        """Pixels from an edge pixel to the next material straight ahead, or None when there is none near."""
        height, width = self.material.shape
        for step in range(3, _LONGEST_BRIDGE):
            px, py = round(x + direction[0] * step), round(y + direction[1] * step)
            if not (0 <= px < width and 0 <= py < height):
                return None
            if self.material[py, px]:
                return step
        return None

    def _pick(self, flat: npt.NDArray[np.intp], rng: np.random.Generator) -> tuple[int, int] | None:
        if not len(flat):
            return None
        y, x = divmod(int(flat[rng.integers(len(flat))]), self.material.shape[1])
        return x, y


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
    after = np.where(patch, np.uint8(recipe.adds_copper), region)
    changed = after != region
    if np.count_nonzero(changed) < 25:
        return None
    ys, xs = np.nonzero(changed)
    box = _label_box(x + int(xs.min()), y + int(ys.min()), x + int(xs.max()), y + int(ys.max()))
    if not _inside(box, width, height) or any(_overlap(box, other) for other in taken):
        return None
    if recipe.paint is _blot and not _amid_ground(copper, box, recipe.adds_copper):
        return None
    window = np.s_[box[1] : box[3], box[0] : box[2]]
    before = copper[window].copy()
    region[changed] = recipe.adds_copper
    if _is_defect(recipe, before, copper[window]):
        return box
    region[changed] = not recipe.adds_copper
    return None


def _label_box(left: int, top: int, right: int, bottom: int) -> Box:
    return (
        left - LABEL_MARGIN_BEFORE,
        top - LABEL_MARGIN_BEFORE,
        right + 1 + LABEL_MARGIN_AFTER,
        bottom + 1 + LABEL_MARGIN_AFTER,
    )


def _inside(box: Box, width: int, height: int) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _amid_ground(copper: Mask, box: Box, adds_copper: bool) -> bool:
    """Whether the ground of a blot reaches on beyond it: a blot in a small round pad would pass for a via."""
    top, left = max(box[1] - _SURROUND, 0), max(box[0] - _SURROUND, 0)
    around = copper[top : box[3] + _SURROUND, left : box[2] + _SURROUND] == (not adds_copper)
    frame = np.concatenate([around[0], around[-1], around[:, 0], around[:, -1]])
    return float(frame.mean()) > 0.2


def _is_defect(recipe: Recipe, before: Mask, after: Mask) -> bool:
    """Whether the number of connected pieces of copper and of laminate changed as the class demands."""
    return recipe.copper_pieces(_pieces(before, 8), _pieces(after, 8)) and recipe.other_pieces(
        _pieces(np.asarray(1 - before, np.uint8), 4), _pieces(np.asarray(1 - after, np.uint8), 4)
    )


def _pieces(mask: Mask, connectivity: int) -> int:
    return int(cv2.connectedComponents(mask, connectivity=connectivity)[0]) - 1


def _blot(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A blot in open ground: a worm, a drop, a polygon or a scribble."""
    reach = float(rng.uniform(4, 11)) if rng.random() < 0.8 else float(rng.uniform(11, 20))
    at = sites.open_ground(reach * 0.7 + 3, rng)
    if at is None:
        return None
    patch = np.zeros((_PATCH, _PATCH), np.uint8)
    kind, middle = rng.random(), _PATCH // 2
    if kind < 0.5:
        points = middle + rng.uniform(-reach, reach, (int(rng.integers(2, 5)), 2))
        cv2.polylines(patch, [_curve(points)], False, 1, int(rng.integers(3, 8)))
    elif kind < 0.75:
        axes = (max(4, int(reach * rng.uniform(0.5, 1))), max(4, int(reach * rng.uniform(0.4, 0.9))))
        cv2.ellipse(patch, (middle, middle), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    elif kind < 0.9:
        angles = np.sort(rng.uniform(0, 2 * math.pi, 8))
        radii = rng.uniform(0.5, 1, 8) * max(reach, 6)
        polygon = np.stack([middle + radii * np.cos(angles), middle + radii * np.sin(angles)], axis=1)
        cv2.fillPoly(patch, [polygon.astype(np.int32)], 1)
    else:
        points = middle + rng.uniform(-reach, reach, (7, 2))
        cv2.polylines(patch, [_curve(points)], False, 1, 2)
    return patch, at[0] - middle, at[1] - middle


def _tooth(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A tooth that grows outward from an edge: straight, bent, or a row of short scratches."""
    at = sites.edge(rng)
    outward = at and sites.outward(*at)
    if not at or not outward:
        return None
    patch, middle = np.zeros((_PATCH, _PATCH), np.uint8), _PATCH / 2
    (ox, oy), (sx, sy) = outward, (-outward[1], outward[0])
    length, thickness = float(rng.uniform(5, 16)), int(rng.integers(3, 10))
    strokes = 1 if rng.random() < 0.75 else int(rng.integers(2, 4))
    for stroke in range(strokes):
        shift = stroke * float(rng.uniform(2, 7))
        sway, lean = rng.uniform(-5, 5), rng.uniform(-8, 8)
        stations = [(-3.0, shift), (length * 0.5, shift + sway), (length * rng.uniform(0.6, 1), shift + lean)]
        points = np.array([(middle + ox * d + sx * s, middle + oy * d + sy * s) for d, s in stations])
        cv2.polylines(patch, [_curve(points)], False, 1, thickness if strokes == 1 else 2)
    return patch, at[0] - _PATCH // 2, at[1] - _PATCH // 2


def _bridge(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A bridge from one edge straight to the next: one strip, a broad block, or a few thin strokes."""
    at = sites.edge(rng)
    outward = at and sites.outward(*at)
    gap = at and outward and sites.distance_across(*at, outward)
    if not at or not outward or not gap:
        return None
    side = 2 * (gap + 20)
    patch, middle = np.zeros((side, side), np.uint8), side / 2
    (ox, oy), (sx, sy) = outward, (-outward[1], outward[0])
    kind = rng.random()
    strokes = 1 if kind < 0.8 else int(rng.integers(2, 5))
    thickness = int(rng.integers(3, 11)) if kind < 0.65 else int(rng.integers(8, 20)) if kind < 0.8 else 2
    for stroke in range(strokes):
        shift, sway, lean = stroke * rng.uniform(2, 5), rng.uniform(-4, 4), rng.uniform(-6, 6)
        stations = [(-2.0, shift), (gap * 0.5, shift + sway), (gap + 2.0, shift + lean)]
        points = np.array([(middle + ox * d + sx * s, middle + oy * d + sy * s) for d, s in stations])
        cv2.polylines(patch, [_curve(points)], False, 1, thickness)
    return patch, at[0] - side // 2, at[1] - side // 2


def _cut(sites: Sites, rng: np.random.Generator) -> Stain | None:
    """A scratch from one edge to the next. Over a long way it wanders: a straight one would pass for a design gap."""
    at = sites.edge(rng)
    outward = at and sites.outward(*at)
    gap = at and outward and sites.distance_across(*at, outward)
    if not at or not outward or not gap:
        return None
    side = 2 * (gap + 30)
    patch, middle = np.zeros((side, side), np.uint8), side / 2
    (ox, oy), (sx, sy) = outward, (-outward[1], outward[0])
    along = np.linspace(-2, gap + 2, 3 + gap // 8)
    strokes = 1 if rng.random() < 0.65 else int(rng.integers(2, 5))
    for stroke in range(strokes):
        across = stroke * rng.uniform(2, 5) + np.cumsum(rng.uniform(-4, 4, len(along))) + along * rng.uniform(-0.4, 0.4)
        points = np.stack([middle + ox * along + sx * across, middle + oy * along + sy * across], axis=1)
        for start, end in pairwise(points):
            thickness = 2 if strokes > 1 else int(rng.integers(2, 9 if gap < 20 else 7))
            cv2.polylines(patch, [_curve(np.stack([start, end]))], False, 1, thickness)
    return patch, at[0] - side // 2, at[1] - side // 2


def _curve(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    return np.round(points).astype(np.int32).reshape(-1, 1, 2)


def _same(before: int, after: int) -> bool:
    return after == before


def _one_more(before: int, after: int) -> bool:
    return after == before + 1


def _more(before: int, after: int) -> bool:
    return after > before


def _not_more(before: int, after: int) -> bool:
    return after <= before


RECIPES: dict[str, Recipe] = {
    "open_circuit": Recipe(False, _cut, copper_pieces=_more, other_pieces=_not_more),
    "short": Recipe(True, _bridge, copper_pieces=_not_more, other_pieces=_more),
    "mouse_bite": Recipe(False, _tooth, copper_pieces=_same, other_pieces=_same),
    "spur": Recipe(True, _tooth, copper_pieces=_same, other_pieces=_same),
    "spurious_copper": Recipe(True, _blot, copper_pieces=_one_more, other_pieces=_same),
    "pin_hole": Recipe(False, _blot, copper_pieces=_same, other_pieces=_one_more),
}
