"""Pictures of what went wrong: the surroundings of each miss, its box drawn in."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from training.boxes import Image
from training.datasets.form import Sample
from training.runs.examination import Miss

SIDE = 240
_LEAST_WINDOW, _MARGIN = 96, 1.6
_HARDLY = 0.005
_LABELLED, _CALLED = (90, 200, 90), (60, 60, 235)  # blue, green, red


def pictures(misses: Sequence[Miss], samples: Sequence[Sample]) -> list[tuple[Image, str]]:
    """(SIDE x SIDE x 3, BGR; caption) of each miss. Labels are green, the call in question is red."""
    return [(surroundings(miss, samples[miss.sample]), caption(miss, samples[miss.sample].name)) for miss in misses]


def caption(miss: Miss, name: str) -> str:
    """What went wrong, in words."""
    if not miss.called:
        seen = f"seen at {miss.confidence:.2f}" if miss.confidence >= _HARDLY else "not seen"
        return f"{miss.truth}, {seen} · {name}"
    instead = f", is {miss.truth}" if miss.truth else ""
    return f"{miss.called} {miss.confidence:.2f}{instead} · {name}"


def surroundings(miss: Miss, sample: Sample) -> Image:
    """A square around the miss, enlarged; what lies outside of the picture is grey."""
    x1, y1, x2, y2 = miss.box
    extent = max(_LEAST_WINDOW, _MARGIN * max(x2 - x1, y2 - y1))
    scale, corner = SIDE / extent, np.array([(x1 + x2 - extent) / 2, (y1 + y2 - extent) / 2])
    image = sample.image if sample.image.ndim == 3 else cv2.cvtColor(sample.image, cv2.COLOR_GRAY2BGR)
    matrix = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    grey = (114, 114, 114)
    window = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=grey)
    for box in sample.boxes:
        _draw(window, (np.asarray(box).reshape(2, 2) - corner) * scale, _LABELLED)
    if miss.called:
        _draw(window, (miss.box.reshape(2, 2) - corner) * scale, _CALLED)
    return np.asarray(window, np.uint8)


def _draw(window: cv2.typing.MatLike, corners: npt.NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    (x1, y1), (x2, y2) = np.rint(corners).astype(int).tolist()
    cv2.rectangle(window, (x1 - 2, y1 - 2), (x2 + 2, y2 + 2), colour, 2, cv2.LINE_AA)
