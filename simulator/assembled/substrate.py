"""The bare board: laminate, copper under solder mask, bare pads, vias, holes and silkscreen."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from simulator.assembled.design import Design
from simulator.assembled.ink import Image, Pose, fill, shade, stroke, write
from simulator.drawing.shapes import Mask

_BELT = (52, 56, 60)
_RELIEF = 26.0


def paint_substrate(design: Design, copper: Mask) -> Image:
    """The board without parts. `copper` is the design's, or one with defects."""
    image = _mask_over(design, copper)
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
    return image


def _mask_over(design: Design, copper: Mask) -> Image:
    """Solder mask in two tones, with the light on the edges of the copper below."""
    soft = cv2.GaussianBlur(copper.astype(np.float32), (0, 0), 0.8)[..., None]
    look = design.look
    colour = np.array(look.mask, np.float32) * (1 - soft) + np.array(look.over_copper, np.float32) * soft
    slope = cv2.Sobel(soft[..., 0], cv2.CV_32F, 1, 0) + cv2.Sobel(soft[..., 0], cv2.CV_32F, 0, 1)
    weave = _weave(design)
    lit = colour + (_RELIEF * 0.25 * slope + weave)[..., None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def _weave(design: Design) -> npt.NDArray[np.float32]:
    """The glass cloth that shows faintly through the mask."""
    ys, xs = np.mgrid[0 : design.height, 0 : design.width].astype(np.float32)
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
