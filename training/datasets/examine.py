"""Examines a source: every picture and label, what to call the classes, and which board goes into which part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pcb_bus.contract.taxonomy import load_taxonomy
from training.datasets.boards import Board, Settler, Unlabelled
from training.datasets.classes import ClassNames
from training.datasets.duplicates import find_same
from training.datasets.errors import DatasetError
from training.datasets.findings import Finding, Level, count
from training.datasets.parts import check_parts
from training.datasets.pictures import look_at
from training.datasets.records import Source
from training.datasets.split import SplitSettings, split

TAXONOMY = Path("config/pcb_defects.yaml")


@dataclass(frozen=True)
class ExamineSettings:
    """How a source is to be understood.

    Args:
        taxonomy: the file with the classes that there are.
        class_map: a source's class names in the taxonomy's words; an empty word leaves the class out.
        unlabelled: what an image without labels is: an error, a good board, or left out.
        group: a pattern whose first group, found in a file's name, names the board that it shows.
    """

    taxonomy: Path = TAXONOMY
    class_map: Mapping[str, str] = field(default_factory=dict)
    unlabelled: Unlabelled = "error"
    group: str | None = None
    split: SplitSettings = SplitSettings()


@dataclass(frozen=True)
class Examined:
    """A source after its examination: the boards that can be used, the part of each, and all findings."""

    source: Source
    boards: tuple[Board, ...]
    parts: tuple[str, ...]
    class_names: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_sound(self) -> bool:
        return not count(self.findings, Level.ERROR)


def examine(
    source: Source,
    settings: ExamineSettings,
    follow: Callable[[Iterable[object], int], object] = lambda pictures, _: list(pictures),
) -> Examined:
    """Examine a source; `follow` runs through the pictures (given their number) as they are read, to show progress.

    Raises DatasetError for settings that cannot be followed, and for a source without any image.
    """
    if not source.entries:
        raise DatasetError(f"no images in {source.root}")
    entries = _grouped(source, settings.group).entries
    settler = Settler(source.root, ClassNames(_known(settings.taxonomy), settings.class_map), settings.unlabelled)
    pictures = look_at([entry.image for entry in entries], lambda seen: follow(seen, len(entries)))
    settled = (settler.settle(entry, picture) for entry, picture in zip(entries, pictures, strict=True))
    boards = tuple(board for board in settled if board)
    same = find_same([board.picture for board in boards])
    parts, notes = split(boards, same, settings.split)
    names = _class_names(source, boards, settler.names)
    checked = check_parts(boards, parts, same, names, source.root, source.published and not settings.split.afresh)
    findings = (*source.findings, *settler.findings, *settler.summarize(), *checked, *notes)
    return Examined(source, boards, tuple(parts), names, findings)


def _known(taxonomy: Path) -> tuple[str, ...]:
    return tuple(load_taxonomy(taxonomy).classes)


def _grouped(source: Source, pattern: str | None) -> Source:
    if not pattern:
        return source
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"--group {pattern}: {error}") from None
    if compiled.groups < 1:
        raise DatasetError(f"--group {pattern}: no (group) in it that names the board")
    found = ((entry, compiled.search(entry.image.name)) for entry in source.entries)
    return replace(source, entries=tuple(replace(e, group=m.group(1)) if m else e for e, m in found))


def _class_names(source: Source, boards: Sequence[Board], names: ClassNames) -> tuple[str, ...]:
    """As the source numbers them, then those that only its labels name, as the taxonomy has them."""
    declared = [name for each in source.class_names if (name := names.translate(each))]
    used = {name for board in boards for name in board.classes}
    return tuple(dict.fromkeys([*declared, *(name for name in names.known if name in used)]))
