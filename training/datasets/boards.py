"""Makes boards of entries: labels in pixels, under the taxonomy's names, and findings for whatever is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from training.boxes import Boxes
from training.datasets.classes import ClassNames
from training.datasets.findings import Finding, Kind
from training.datasets.pictures import Picture, Unreadable
from training.datasets.records import Entry, LabelBox, shown

#: Rounding may carry a box this far over the edge, in pixels; it is cut there.
_OVERHANG = 1.0
_LEAST_SIDE = 3.0

Unlabelled = Literal["error", "good", "skip"]


@dataclass(frozen=True, eq=False, slots=True)
class Board:
    """One readable image; boxes (n, 4) in its pixels, and the taxonomy's name of each."""

    entry: Entry
    picture: Picture
    boxes: Boxes
    classes: tuple[str, ...]


@dataclass
class Settler:
    """Settles what is on each image. Findings gather in `findings`, other spellings of a class in `renamed`."""

    root: Path
    names: ClassNames
    unlabelled: Unlabelled = "error"
    findings: list[Finding] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def settle(self, entry: Entry, seen: Picture | Unreadable) -> Board | None:
        """The board, or None where it cannot be used."""
        where = shown(entry.image, self.root)
        if isinstance(seen, Unreadable):
            self._find(Kind.BAD_IMAGE if entry.image.is_file() else Kind.MISSING_FILE, where, seen)
            return None
        if not entry.labelled and not self._is_declared(where):
            return None
        if entry.size and entry.size != (seen.width, seen.height):
            wide, tall = entry.size
            self._find(Kind.OTHER_SIZE, where, f"is {seen.width}x{seen.height}, its labels were made on {wide}x{tall}")
        kept = list(self._kept(entry, seen))
        if entry.boxes and not kept and all(self.names.translate(box.class_name) == "" for box in entry.boxes):
            self._find(Kind.LEFT_OUT, where, "all on it is of classes left out, so it is no good board either")
            return None
        boxes = np.array([box for box, _ in kept], float).reshape(-1, 4)
        return Board(entry, seen, boxes, tuple(name for _, name in kept))

    def summarize(self) -> Iterator[Finding]:
        """What was done to whole classes."""
        for theirs, ours in sorted(self.renamed.items()):
            yield Finding(Kind.RENAMED, theirs, f"is {ours}")
        for name, boxes in sorted(self.left_out.items()):
            yield Finding(Kind.LEFT_OUT, name, f"{boxes} boxes")

    def _is_declared(self, where: str) -> bool:
        if self.unlabelled == "error":
            self._find(Kind.NO_LABELS, where, "a good board needs an empty label file; `make dataset` takes `--unlabelled good`")
        elif self.unlabelled == "good":
            self._find(Kind.DECLARED_GOOD, where, "")
        else:
            self._find(Kind.LEFT_OUT, where, "no labels")
        return self.unlabelled == "good"

    def _kept(self, entry: Entry, picture: Picture) -> Iterator[tuple[list[float], str]]:
        seen: set[tuple[object, ...]] = set()
        for label in entry.boxes:
            name = self._name_of(label)
            corners = self._corners_of(label, entry, picture)
            if not name or corners is None:
                continue
            key = (name, *(round(value, 1) for value in corners))
            if key in seen:
                self._find(Kind.REPEATED_BOX, label.where, name)
                continue
            seen.add(key)
            yield corners, name

    def _name_of(self, label: LabelBox) -> str | None:
        name = self.names.translate(label.class_name)
        if name is None:
            self._find(Kind.UNKNOWN_CLASS, label.where, label.class_name)
        elif not name:
            self.left_out[label.class_name] += 1
        elif name != label.class_name:
            self.renamed[label.class_name] = name
        return name

    def _corners_of(self, label: LabelBox, entry: Entry, picture: Picture) -> list[float] | None:
        """Corners in pixels, cut at the image's edges; None with a finding where they are none."""
        limits = np.array([picture.width, picture.height] * 2, float)
        corners = np.array([label.x1, label.y1, label.x2, label.y2], float)
        if entry.in_shares:
            corners *= limits
        cut = np.clip(corners, 0, limits)
        problem = _problem(corners, limits)
        width, height = cut[2] - cut[0], cut[3] - cut[1]
        if not problem and min(width, height) <= 0:
            problem = Kind.OUTSIDE, f"{_listed(corners)} lies beside the {limits[0]:.0f}x{limits[1]:.0f} of its image"
        if problem:
            self._find(problem[0], label.where, f"{label.class_name} {problem[1]}")
            return None
        if min(width, height) < _LEAST_SIDE:
            self._find(Kind.TINY_BOX, label.where, f"{label.class_name} of {width:.1f}x{height:.1f} pixels")
        return [float(value) for value in cut]

    def _find(self, kind: Kind, where: str, message: str) -> None:
        self.findings.append(Finding(kind, where, message))


def _problem(corners: Boxes, limits: Boxes) -> tuple[Kind, str] | None:
    if not np.isfinite(corners).all():
        return Kind.NOT_A_NUMBER, _listed(corners)
    if corners[2] <= corners[0] or corners[3] <= corners[1]:
        return Kind.EMPTY_BOX, _listed(corners)
    over = float(max((-corners).max(), (corners - limits).max()))
    if over > _OVERHANG:
        return (
            Kind.OUTSIDE,
            f"{_listed(corners)} reaches {over:.0f} pixels over the edge of {limits[0]:.0f}x{limits[1]:.0f}",
        )
    return None


def _listed(corners: Sequence[float] | Boxes) -> str:
    return "(" + ", ".join(f"{value:.1f}" for value in corners) + ")"
