"""Splits boards into parts: pictures that belong together stay together, and each class gets its share of each part."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.datasets.boards import Board
from training.datasets.errors import DatasetError
from training.datasets.findings import Finding, Kind
from training.datasets.records import HELD_OUT, TEST, TRAIN, VAL

#: Stands for a defect on boards that have none.
_GOOD = "a good board"


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Which share of the boards goes where; the rest is trained on. `afresh` forgets the split of the source."""

    val: float = 0.2
    test: float = 0.1
    seed: int = 0
    afresh: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.val < 1 and 0 <= self.test < 1 and self.val + self.test < 1):
            raise DatasetError(f"--val {self.val:g} --test {self.test:g}: shares over 0 that leave some to train on")
        if self.seed < 0:
            raise DatasetError(f"--seed {self.seed}: less than 0")


def split(
    boards: Sequence[Board], together: Iterable[tuple[int, int]], settings: SplitSettings
) -> tuple[list[str], list[Finding]]:
    """The part of each board. A source's own split is kept; where it lacks a `val`, some of `train` becomes it."""
    given = [None if settings.afresh else board.entry.part for board in boards]
    if not any(given):
        shares = {TRAIN: 1 - settings.val - settings.test, VAL: settings.val, TEST: settings.test}
        parts = _assign(boards, list(range(len(boards))), together, shares, settings.seed)
        return [parts[i] for i in range(len(boards))], [_note("made here, pictures of one board kept together")]
    kept = [part or TRAIN for part in given]
    if VAL in kept or HELD_OUT in kept:
        return kept, [_note("kept as the source has it")]
    trained = [i for i, part in enumerate(kept) if part == TRAIN]
    made = _assign(boards, trained, together, {TRAIN: 1 - settings.val, VAL: settings.val}, settings.seed)
    return [made.get(i, part) for i, part in enumerate(kept)], [
        _note("kept as the source has it; val taken from train")
    ]


def _note(message: str) -> Finding:
    return Finding(Kind.SPLIT, "split", message)


def _assign(
    boards: Sequence[Board],
    chosen: Sequence[int],
    together: Iterable[tuple[int, int]],
    shares: Mapping[str, float],
    seed: int,
) -> dict[int, str]:
    """The rarest class first, each cluster to the part that lacks most of it (Sechidis et al. 2011, by clusters)."""
    clusters = _clusters(boards, chosen, together)
    clusters = [clusters[i] for i in np.random.default_rng(seed).permutation(len(clusters))]
    counts = [Counter(name for i in cluster for name in boards[i].classes or (_GOOD,)) for cluster in clusters]
    total = sum(counts, Counter[str]())
    parts = [part for part, share in shares.items() if share > 0]
    wanted = {part: {name: shares[part] * number for name, number in total.items()} for part in parts}
    room = {part: shares[part] * len(chosen) for part in parts}
    placed: dict[int, str] = {}
    for rarest in sorted(total, key=lambda name: (total[name], name)):
        for cluster, held in zip(clusters, counts, strict=True):
            if not held[rarest] or cluster[0] in placed:
                continue
            part = max(parts, key=lambda each: (round(wanted[each][rarest], 6), room[each] / shares[each]))
            placed |= dict.fromkeys(cluster, part)
            room[part] -= len(cluster)
            for name, number in held.items():
                wanted[part][name] -= number
    return placed


def _clusters(boards: Sequence[Board], chosen: Sequence[int], together: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Boards of one group, and pictures that are the same, as one."""
    root = {i: i for i in chosen}

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    def join(i: int, j: int) -> None:
        root[max(find(i), find(j))] = min(find(i), find(j))

    first_of: dict[str, int] = {}
    for i in chosen:
        if group := boards[i].entry.group:
            join(i, first_of.setdefault(group, i))
    for i, j in together:
        if i in root and j in root:
            join(i, j)
    clusters: dict[int, list[int]] = defaultdict(list)
    for i in chosen:
        clusters[find(i)].append(i)
    return list(clusters.values())
