"""Reads the DeepPCB layout (Tang et al. 2019) and splits it by group.

`PCBData/groupNNNNN/NNNNN/X_test.jpg` is the inspected board, `X_temp.jpg` its template and `NNNNN_not/X.txt` the
labels, one `x1 y1 x2 y2 type` a line. `trainval.txt` lists `image label` pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.datasets.errors import DatasetError

#: DeepPCB's label types and the taxonomy's names for them.
CLASS_OF_TYPE = {1: "open_circuit", 2: "short", 3: "mouse_bite", 4: "spur", 5: "spurious_copper", 6: "pin_hole"}
CLASS_NAMES: tuple[str, ...] = tuple(CLASS_OF_TYPE.values())

#: Held out whole: images of one group show neighbouring, overlapping parts of the same board.
HELD_OUT_GROUPS = frozenset({"group00041"})


@dataclass(frozen=True)
class Label:
    """One labelled defect, in pixels."""

    class_name: str
    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class Pair:
    """One inspected image, its template and its labels."""

    group: str
    name: str
    image: Path
    template: Path
    labels: tuple[Label, ...]


def read_pairs(root: Path) -> list[Pair]:
    """Every pair that `trainval.txt` lists. Raises DatasetError for missing files and malformed labels."""
    data = root / "PCBData"
    listing = data / "trainval.txt"
    if not listing.is_file():
        raise DatasetError(f"no DeepPCB data in {root}: {listing} is missing")
    return [_read_pair(data, line) for line in listing.read_text().splitlines() if line.strip()]


def parse_labels(text: str, source: str) -> tuple[Label, ...]:
    """The labels of one file. Raises DatasetError naming `source` for a line that is no label."""
    return tuple(_parse_label(line, source) for line in text.splitlines() if line.strip())


def _read_pair(data: Path, line: str) -> Pair:
    try:
        image, labels = line.split()
    except ValueError:
        raise DatasetError(f"trainval.txt: not an image and a label file: {line!r}") from None
    stem = data / image.removesuffix(".jpg")
    pair = Pair(
        group=Path(image).parts[0],
        name=stem.name,
        image=stem.with_name(f"{stem.name}_test.jpg"),
        template=stem.with_name(f"{stem.name}_temp.jpg"),
        labels=parse_labels(_read(data / labels), labels),
    )
    for path in (pair.image, pair.template):
        if not path.is_file():
            raise DatasetError(f"trainval.txt names a missing image: {path}")
    return pair


def _read(path: Path) -> str:
    if not path.is_file():
        raise DatasetError(f"trainval.txt names a missing label file: {path}")
    return path.read_text()


def _parse_label(line: str, source: str) -> Label:
    try:
        x1, y1, x2, y2, kind = (int(field) for field in line.replace(",", " ").split())
        label = Label(CLASS_OF_TYPE[kind], x1, y1, x2, y2)
    except (ValueError, KeyError):
        raise DatasetError(f"{source}: not a label: {line!r}") from None
    if x2 <= x1 or y2 <= y1:
        raise DatasetError(f"{source}: an empty box: {line!r}")
    return label
