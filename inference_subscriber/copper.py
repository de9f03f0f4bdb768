"""Bare copper compared with its defect-free template: what changed, and what each change is by its topology.

The classical way of inspecting bare boards: added copper that touches no piece, one or several is spurious copper, a
spur or a short; missing copper that touches no laminate, one piece or several is a pin hole, a mouse bite or an open
(Wu, Wang & Liu, "Automated PCB inspection and classification", 1996). A detector sees boxes that the template does not
confirm, and confuses what only the template tells apart: so the template reads its boxes once more.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from inference_subscriber.overlap import overlaps
from inference_subscriber.topology import Mask, pieces_touched
from pcb_bus.contract.taxonomy import CopperNames

Grey = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.floating]
_Corners = tuple[int, int, int, int]

_SURROUND = 14  # pixels around a change in which the pieces that it touches are told apart
_ONE_THREAD = cv2.CCL_BBDT  # OpenCV's default waits for the cores that the engine has
_LABEL_BEFORE, _LABEL_AFTER = 11, 8  # what labels leave around a change: left and top, right and bottom


#: IoU of two boxes of one class that are about one change: labels of different changes hardly overlap.
DOUBLED = 0.25


@dataclass(frozen=True, slots=True)
class CopperRule:
    """How much a template says. Set on the training groups of DeepPCB, where topology names 98 % of the labels.

    Args:
        least_pixels: a box with fewer changed pixels than these shows no defect.
        least_change: pixels of a change that is told by its topology; smaller ones are edges seen anew.
        overlap: IoU from which a box is about a change.
        agreed: power to which a confidence is raised where the topology is a witness to the change.
        renamed: weight of the class that the topology has, where the detector has another.
        contradicted: weight of the detector's class there.
        unexplained: weight of a box that is about no single change.
    """

    least_pixels: int = 5
    least_change: int = 12
    overlap: float = 0.35
    agreed: float = 0.5
    renamed: float = 0.35
    contradicted: float = 0.1
    unexplained: float = 0.6


@dataclass(frozen=True, slots=True)
class Change:
    """A connected change: its box as labels are drawn (x1, y1, x2, y2 in pixels), and its class."""

    box: _Corners
    class_name: str


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """A connected change that is not told yet, with the material that came in a window around it, before and after."""

    box: _Corners
    change: Mask
    before: Mask
    after: Mask
    names: tuple[str, str, str]

    def class_name(self) -> str:
        return self.names[pieces_touched(self.change, self.before, self.after)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a box may be: a class, and what becomes of the box's confidence c: weight * c ** power."""

    class_name: str
    weight: float
    power: float = 1.0

    def confidence(self, own: float) -> float:
        return float(self.weight * own**self.power)


def settled(class_name: str, readings: Sequence[Reading], told: Collection[str], minor: Collection[str]) -> Reading:
    """What a detection that something changed under is taken for: the likeliest reading, or what it was.

    It stays what it was where it is no change of copper, and where it would become minor: no board passes on doubt.

    Args:
        told: classes that topology tells.
        minor: classes that leave a board normal.
    """
    likeliest = readings[0] if readings else None
    milder = likeliest is not None and likeliest.class_name in minor and class_name not in minor
    return Reading(class_name, 1.0) if likeliest is None or milder or class_name not in told else likeliest


class CopperTemplate:
    """The defect-free picture of a bare board, black copper on white laminate: uint8, height x width, grey."""

    def __init__(self, picture: Grey, names: CopperNames, rule: CopperRule | None = None) -> None:
        self._copper = _copper(picture)
        self._names = names
        self._rule = rule or CopperRule()

    @property
    def share(self) -> float:
        """Of the template that is copper."""
        return float(self._copper.mean())

    def unlike(self, picture: Grey) -> float:
        """Share of the copper that is missing, or of the laminate that is covered: the larger of both."""
        differs, copper = _copper(picture) != self._copper, self._copper > 0
        return float(max(differs[copper].mean(), differs[~copper].mean()))

    def changed(self, picture: Grey) -> float:
        """Share of all pixels that differ."""
        return float((_copper(picture) != self._copper).mean())

    def read(self, picture: Grey, boxes: Boxes, classes: Sequence[str]) -> list[tuple[Reading, ...]]:
        """For each box (n, 4) what it may be, the likeliest first; nothing where nothing changed.

        Args:
            picture: lies as the template does.

        Raises:
            ValueError: the picture is of another size.
        """
        if picture.shape != self._copper.shape:
            raise ValueError(f"a picture of {picture.shape} and a template of {self._copper.shape} pixels")
        copper = _copper(picture)
        regions = list(self._regions(copper))
        shared = overlaps(boxes, np.array([each.box for each in regions], float).reshape(-1, 4))
        confirmed = self._changed_pixels(copper, boxes) >= self._rule.least_pixels
        return [
            self._readings(name, regions, shared[index]) if confirmed[index] else ()
            for index, name in enumerate(classes)
        ]

    def _readings(
        self, class_name: str, regions: Sequence[_Region], shared: npt.NDArray[np.float64]
    ) -> tuple[Reading, ...]:
        rule = self._rule
        if not regions or shared.max() < rule.overlap:
            return (Reading(class_name, rule.unexplained),)
        likely = regions[int(shared.argmax())].class_name()
        if likely == class_name:
            return (Reading(class_name, 1.0, rule.agreed),)
        return Reading(likely, rule.renamed, rule.agreed), Reading(class_name, rule.contradicted)

    def changes(self, picture: Grey) -> list[Change]:
        """What differs from the template, told by topology."""
        return [Change(each.box, each.class_name()) for each in self._regions(_copper(picture))]

    def _regions(self, copper: Mask) -> Iterator[_Region]:
        before = self._copper
        for ground, after, names in (
            (before, copper, self._names.added),
            (np.asarray(1 - before, np.uint8), np.asarray(1 - copper, np.uint8), self._names.removed),
        ):
            came = _opened(np.asarray(after & (1 - ground), np.uint8))
            closed = cv2.morphologyEx(came, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
            count, labels, extents, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
                closed, 8, cv2.CV_32S, _ONE_THREAD
            )
            for label in range(1, count):
                x, y, width, height, area = (int(number) for number in extents[label])
                if area >= self._rule.least_change:
                    window = _window(x, y, width, height)
                    change = np.asarray(labels[window] == label, np.uint8)
                    yield _Region(_label_box(x, y, width, height), change, ground[window], after[window], names)

    def _changed_pixels(self, copper: Mask, boxes: Boxes) -> npt.NDArray[np.int64]:
        sums = cv2.integral(_opened(np.asarray(copper != self._copper, np.uint8))).astype(np.int64)
        height, width = copper.shape
        corners = np.clip(np.round(boxes).astype(int), 0, (width, height, width, height))
        x1, y1, x2, y2 = corners.T
        return np.asarray(sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1])


def _copper(picture: Grey) -> Mask:
    return np.asarray(picture < 128, np.uint8)


def _opened(mask: Mask) -> Mask:
    """Without lines of a single pixel, which are edges seen anew. What is left stays where it was."""
    square = np.ones((2, 2), np.uint8)
    return np.asarray(cv2.dilate(cv2.erode(mask, square), square, anchor=(0, 0)), np.uint8)


def _label_box(x: int, y: int, width: int, height: int) -> _Corners:
    return x - _LABEL_BEFORE, y - _LABEL_BEFORE, x + width + _LABEL_AFTER, y + height + _LABEL_AFTER


def _window(x: int, y: int, width: int, height: int) -> tuple[slice, slice]:
    return (
        slice(max(0, y - _SURROUND), y + height + _SURROUND),
        slice(max(0, x - _SURROUND), x + width + _SURROUND),
    )
