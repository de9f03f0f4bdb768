"""How many pieces of its own material a change touches: what tells the defects of bare copper from each other."""

from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8]
"""Height x width, 1 where there is the material."""

_LEAST_PIECE = 12  # pixels
_LEAST_HALF = 25
_REACH = np.asarray(
    cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)), np.uint8
)  # within two pixels, less at the corners: it touches
_EDGE = np.asarray(cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), np.uint8)
_SIGHT = np.ones((5, 5), np.uint8)


def pieces_touched(change: Mask, before: Mask, after: Mask) -> int:
    """How many pieces of a material what came to it touches: 0, 1, or 2 for several that it joins.

    One piece is several where the change parts the other material.

    Args:
        change: what came to the material.
        before: the material in the template.
        after: the material in the picture: a thread of a pixel or two decides whether pieces are joined.
    """
    other = np.asarray(1 - before, np.uint8)
    change = np.asarray(change & other, np.uint8)
    labels, pieces = _touched(change, before)
    if len(pieces) > 1:
        return 2 if _joined(change, before, after, [labels == piece for piece in pieces]) else 1
    if not pieces:
        return 0
    rest = np.asarray(other & (1 - _grown(change, _EDGE)), np.uint8)
    return 2 if _halves(rest) > _halves(other) else 1


def _touched(change: Mask, material: Mask) -> tuple[npt.NDArray[np.int32], list[int]]:
    _, labels, extents, _ = cv2.connectedComponentsWithStats(material, connectivity=8)
    reached = np.unique(labels[_grown(change, _REACH) > 0])
    pieces = [int(label) for label in reached if label and extents[label, cv2.CC_STAT_AREA] >= _LEAST_PIECE]
    return np.asarray(labels, np.int32), pieces


def _joined(change: Mask, before: Mask, after: Mask, pieces: list[npt.NDArray[np.bool_]]) -> bool:
    """Whether two of the pieces are one where the picture counts near the change, the template elsewhere."""
    seen = np.asarray(before | change | (after & _grown(change, _SIGHT)), np.uint8)
    labels = cv2.connectedComponents(seen, connectivity=8)[1]
    names = [set(np.unique(labels[piece])) for piece in pieces]
    return any(one & other for one, other in combinations(names, 2))


def _halves(material: Mask) -> int:
    extents = cv2.connectedComponentsWithStats(material, connectivity=4)[2]
    return int((extents[1:, cv2.CC_STAT_AREA] >= _LEAST_HALF).sum())


def _grown(mask: Mask, shape: Mask) -> Mask:
    return np.asarray(cv2.dilate(mask, shape), np.uint8)
