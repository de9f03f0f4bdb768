"""The bare board: laminate, copper under solder mask, bare pads, vias, holes and silkscreen."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from simulator.assembled.design import Design
from simulator.assembled.ink import Image, Pose, fill, shade, stroke, write
from simulator.drawing.shapes import Mask

_BELT = (52, 56, 60)
_RELIEF = 26.0
_REACH = 6  # how far an edge of the copper is seen in the mask


def paint_substrate(design: Design, copper: Mask) -> Image:
    """The board without parts. `copper` is the design's, or one with defects."""
    changed = np.asarray(copper != design.copper, np.uint8)
    if not changed.any():
        return _good_board(design).copy()
    image = _good_mask(design).copy()
    _cover_again(image, design, copper, changed)
    _finish(image, design)
    return image


@lru_cache(maxsize=16)
def _good_board(design: Design) -> Image:
    """What most boards are before parts are on them."""
    image = _good_mask(design).copy()
    _finish(image, design)
    return image


def _finish(image: Image, design: Design) -> None:
    """All that is on the mask, and the belt around the board."""
    for part in design.parts:
        for each in part.kind.terminals:
            fill(image, part.pose.rectangle(each.x, each.y, each.width, each.height, 1.5), design.look.finish)
    for pad in design.test_pads:
        fill(image, Pose(pad.x, pad.y).ellipse(0, 0, 2 * pad.radius, 2 * pad.radius), design.look.finish)
    for via in design.vias:
        fill(image, Pose(via.x, via.y).ellipse(0, 0, 2 * via.radius, 2 * via.radius), design.look.finish)
        fill(image, Pose(via.x, via.y).ellipse(0, 0, 2 * via.hole, 2 * via.hole), (24, 26, 28))
    _silkscreen(image, design)
    _cut_out(image, design)


@lru_cache(maxsize=16)
def _good_mask(design: Design) -> Image:
    """Most of a board is as the design has it, and covering it takes longest."""
    return _mask_over(design, design.copper)


def _cover_again(image: Image, design: Design, copper: Mask, changed: Mask) -> None:
    """Where the copper differs from the design's, as well."""
    count, _, places, _ = cv2.connectedComponentsWithStats(
        cv2.dilate(changed, np.ones((2 * _REACH + 1,) * 2, np.uint8))
    )
    for x, y, width, height, _ in places[1:count]:
        x1, y1, x2, y2 = max(0, x - _REACH), max(0, y - _REACH), x + width + _REACH, y + height + _REACH
        patch = _mask_over(design, copper[y1:y2, x1:x2], (int(x1), int(y1)))
        inner = np.s_[y - y1 : y - y1 + height, x - x1 : x - x1 + width]
        image[y : y + height, x : x + width] = patch[inner]


def _mask_over(design: Design, copper: Mask, at: tuple[int, int] = (0, 0)) -> Image:
    """Solder mask in two tones, with the light on the edges of the copper below, which lies at (x, y) of the board."""
    soft = cv2.GaussianBlur(copper.astype(np.float32), (0, 0), 0.8)[..., None]
    look = design.look
    colour = np.array(look.mask, np.float32) * (1 - soft) + np.array(look.over_copper, np.float32) * soft
    slope = cv2.Sobel(soft[..., 0], cv2.CV_32F, 1, 0) + cv2.Sobel(soft[..., 0], cv2.CV_32F, 0, 1)
    lit = colour + (_RELIEF * 0.25 * slope + _weave(copper.shape, at))[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _weave(shape: tuple[int, ...], at: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The glass cloth that shows faintly through the mask."""
    xs = (np.arange(shape[1], dtype=np.float32) + at[0])[None]
    ys = (np.arange(shape[0], dtype=np.float32) + at[1])[:, None]
    return np.asarray(1.6 * np.sin(xs * 0.9) * np.sin(ys * 0.9), np.float32)


def _silkscreen(image: Image, design: Design) -> None:
    for part in design.parts:
        across, along = part.reach
        frame = Pose(part.x, part.y).rectangle(0, 0, 2 * across + 5, 2 * along + 5)
        stroke(image, frame, design.look.silk, closed=True)
        write(image, part.name, (part.x - across, part.y - along - 5), design.look.silk)
    x1, _, x2, y2 = design.outline
    write(image, "BOARDLINE", ((x1 + x2) / 2 - 30, y2 - 7), design.look.silk, 0.36)


def _cut_out(image: Image, design: Design) -> None:
    """The belt around the board and through its mounting holes."""
    x1, y1, x2, y2 = design.outline
    rim = shade(design.look.mask, 0.6)
    for x, y in design.holes:
        fill(image, Pose(x, y).ellipse(0, 0, 32, 32), design.look.finish)
        fill(image, Pose(x, y).ellipse(0, 0, 20, 20), _BELT)
    belt = np.ones(image.shape[:2], bool)
    belt[y1:y2, x1:x2] = False
    image[belt] = _BELT
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64)
    stroke(image, corners, rim, 2, closed=True)
