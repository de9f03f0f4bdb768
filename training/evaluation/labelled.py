"""Labelled pictures from a data set in any layout that `make dataset` reads, one part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pcb_bus.contract.taxonomy import Taxonomy
from training.datasets.boards import Board, Settler
from training.datasets.classes import ClassNames
from training.datasets.errors import DatasetError
from training.datasets.findings import Level
from training.datasets.form import Sample, read_grey, read_image
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.datasets.layouts.detect import AUTO, read_source
from training.datasets.pictures import look_at
from training.datasets.records import HELD_OUT, TEST, VAL, Entry, Source
from training.evaluation.pictures import Picture

ALL = "all"
_MOST_SHOWN = 8


@dataclass(frozen=True)
class LabelledSet:
    """One part of a data set.

    Args:
        root: the folder.
        part: train, val, test, held_out or all; None: what was kept for this (held_out, test, val).
        layout: as `make dataset` names them.
        sides: images whose names end in `_<side>` are of one board; any other image is a board of its own.
    """

    root: Path
    part: str | None = None
    layout: str = AUTO
    held_out_groups: frozenset[str] = HELD_OUT_GROUPS
    sides: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledPictures:
    """The boards of one part, their labels checked; images are read one by one."""

    name: str
    part: str
    boards: Sequence[Board]
    sides: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.boards)

    def __iter__(self) -> Iterator[Picture]:
        for board in self.boards:
            entry, name = board.entry, board.entry.image.stem
            sample = Sample(name, read_image(entry.image), board.boxes, board.classes)
            template = entry.template if entry.template and entry.template.is_file() else None
            yield Picture(sample, board_of(name, self.sides), read_grey(template) if template else None)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for board in self.boards for name in board.classes))


def read_labelled(chosen: LabelledSet, taxonomy: Taxonomy) -> LabelledPictures:
    """Read and check all labels of the part.

    Raises:
        DatasetError: no such folder, layout or part, or labels with errors, which the text lists.
    """
    source = read_source(chosen.root, chosen.layout, held_out_groups=chosen.held_out_groups)
    part, entries = _entries(source, chosen)
    settler = Settler(source.root, ClassNames(tuple(taxonomy.classes), {}))
    settled = (
        settler.settle(entry, seen) for entry, seen in zip(entries, look_at([e.image for e in entries]), strict=True)
    )
    boards = [board for board in settled if board]
    errors = [each for each in (*source.findings, *settler.findings) if each.kind.level is Level.ERROR]
    if errors:
        more = [f"… and {len(errors) - _MOST_SHOWN} more"] if len(errors) > _MOST_SHOWN else []
        listed = [f"{each.kind.title}: {each}" for each in errors[:_MOST_SHOWN]]
        raise DatasetError("\n  ".join([f"{chosen.root}: {len(errors)} errors", *listed, *more]))
    return LabelledPictures(chosen.root.resolve().name, part, boards, chosen.sides)


def board_of(name: str, sides: Sequence[str]) -> str:
    """The board's part of an image's name."""
    return next((name.removesuffix(f"_{side}") for side in sides if name.endswith(f"_{side}")), name)


def _entries(source: Source, chosen: LabelledSet) -> tuple[str, list[Entry]]:
    parts = {entry.part for entry in source.entries}
    part = chosen.part or next((each for each in (HELD_OUT, TEST, VAL) if each in parts), ALL)
    entries = [entry for entry in source.entries if part in {ALL, entry.part}]
    if not entries:
        there = ", ".join(sorted(each for each in parts if each)) or "no parts"
        raise DatasetError(f"--split {part}: {chosen.root} has {there}; `all` takes every image")
    return part, entries
