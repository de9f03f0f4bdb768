"""What a layout's reader hands over: images with their labels, as the source has them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.datasets.errors import DatasetError
from training.datasets.findings import Finding

TRAIN, VAL, TEST, HELD_OUT = "train", "val", "test", "held_out"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class LabelBox:
    """One labelled defect: the source's own class name, corners in pixels (or shares of the image), file and line."""

    class_name: str
    x1: float
    y1: float
    x2: float
    y2: float
    where: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a source.

    Args:
        labelled: whether the source says what is on it, be it nothing.
        part: where the source has it: train, val, test or held_out.
        group: images of one group show the same board and stay together.
        in_shares: boxes are shares of the image, not pixels.
        size: width and height that the labels claim.
        template: a defect-free picture of the same board.
        title: its name, where that is not the file's.
    """

    image: Path
    boxes: tuple[LabelBox, ...] = ()
    labelled: bool = True
    part: str | None = None
    group: str | None = None
    in_shares: bool = False
    size: tuple[int, int] | None = None
    template: Path | None = None
    title: str | None = None

    @property
    def name(self) -> str:
        """What its files are called in the project's form."""
        return self.title or self.image.stem


@dataclass(frozen=True, slots=True)
class Source:
    """A whole source.

    Args:
        class_names: as declared, in the order of their numbers; names that only labels use are not among them.
        look: `bare_copper` for black copper on white laminate.
        published: the split is others' and stays, even where it divides a group.
        held_out_groups: the groups that its part `held_out` was made of.
    """

    root: Path
    layout: str
    entries: tuple[Entry, ...]
    class_names: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    look: str | None = None
    published: bool = False
    held_out_groups: frozenset[str] = frozenset()


def images_in(folder: Path) -> list[Path]:
    """Every image in a folder and below, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def lines_of(path: Path) -> list[str]:
    """The lines of a text file. Raises DatasetError when it is none, or in another encoding than UTF-8."""
    try:
        return path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not UTF-8: save it in that encoding") from None


def shown(path: Path, root: Path) -> str:
    """A path as reports name it: from the dataset's folder on where it lies in there."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def part_of(name: str) -> str | None:
    """The part that a folder or file of that name holds by custom: `valid`, `train2017`, `instances_val`, …"""
    words = {"train": TRAIN, "trainval": TRAIN, "training": TRAIN, "val": VAL, "valid": VAL, "validation": VAL}
    words |= {"test": TEST, "testing": TEST, "held_out": HELD_OUT}
    plain = name.lower().removeprefix("instances_").removesuffix("_annotations").rstrip("0123456789").rstrip("_-")
    return words.get(plain)
