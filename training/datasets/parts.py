"""Checks of the parts against each other: nothing that is tested on may have been trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from training.datasets.boards import Board
from training.datasets.findings import Finding, Kind
from training.datasets.records import HELD_OUT, TRAIN, VAL, shown


def check_parts(
    boards: Sequence[Board],
    parts: Sequence[str],
    same: Iterable[tuple[int, int]],
    class_names: Sequence[str],
    root: Path,
    published: bool,
) -> Iterator[Finding]:
    """Leaks, pictures twice in one part, groups divided, parts that are empty, and classes that a part lacks.

    Args:
        same: indices of boards whose pictures are the same.
        published: a divided group is only worth a warning, for the split is others'.
    """
    for i, j in same:
        first, second = (shown(boards[k].entry.image, root) for k in (i, j))
        kind = Kind.TWIN if parts[i] == parts[j] else Kind.LEAK
        yield Finding(kind, f"{parts[i]}: {first}", f"is the picture of {parts[j]}: {second}")
    yield from _divided_groups(boards, parts, published)
    counts = class_counts(boards, parts)
    if TRAIN not in counts:
        yield Finding(Kind.EMPTY_PART, TRAIN, "nothing to train on")
    if not {VAL, HELD_OUT} & counts.keys():
        yield Finding(Kind.EMPTY_PART, VAL, "nothing to test the training on; more images are needed")
    for part, held in counts.items():
        for name in class_names:
            if not held[name]:
                yield Finding(Kind.ABSENT_CLASS, part, name)


def class_counts(boards: Sequence[Board], parts: Sequence[str]) -> dict[str, Counter[str]]:
    """How many boxes of each class each part has."""
    counts: dict[str, Counter[str]] = {}
    for board, part in zip(boards, parts, strict=True):
        counts.setdefault(part, Counter()).update(board.classes)
    return counts


def _divided_groups(boards: Sequence[Board], parts: Sequence[str], published: bool) -> Iterator[Finding]:
    found: dict[str, set[str]] = defaultdict(set)
    for board, part in zip(boards, parts, strict=True):
        if board.entry.group:
            found[board.entry.group].add(part)
    for group, where in sorted(found.items()):
        if len(where) > 1:
            yield Finding(
                Kind.SHARED_GROUP if published else Kind.GROUP_LEAK, group, f"in {' and '.join(sorted(where))}"
            )
