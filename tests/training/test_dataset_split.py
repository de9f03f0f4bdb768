"""How boards are split into parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from training.datasets.boards import Board
from training.datasets.errors import DatasetError
from training.datasets.parts import class_counts
from training.datasets.pictures import Picture
from training.datasets.records import Entry
from training.datasets.split import SplitSettings, split

_BLANK = Picture(64, 64, np.zeros(8, np.uint64), np.zeros((128, 128), np.uint8))


def _board(
    number: int, classes: Sequence[str] = ("short",), group: str | None = None, part: str | None = None
) -> Board:
    entry = Entry(Path(f"{number}.png"), group=group, part=part)
    return Board(entry, _BLANK, np.zeros((len(classes), 4)), tuple(classes))


def test_shares_are_kept_and_so_is_each_class() -> None:
    kinds: tuple[tuple[str, ...], ...] = (("short",), ("spur",), ("short", "spur"), (), ("short",), ())
    boards = [_board(i, kinds[i % len(kinds)]) for i in range(120)] + [
        _board(120 + i, ("pin_hole",)) for i in range(10)
    ]
    parts, _ = split(boards, [], SplitSettings(val=0.2, test=0.1))
    assert [Counter(parts)[part] for part in ("train", "val", "test")] == pytest.approx([91, 26, 13], abs=3)
    counts = class_counts(boards, parts)
    assert [counts[part]["pin_hole"] for part in ("train", "val", "test")] == [7, 2, 1]
    assert [counts[part]["spur"] for part in ("train", "val", "test")] == pytest.approx([28, 8, 4], abs=1)


def test_the_seed_decides() -> None:
    boards = [_board(i) for i in range(40)]
    first, again, other = (split(boards, [], SplitSettings(seed=seed))[0] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_groups_and_twins_stay_together() -> None:
    boards = [_board(i, group=f"board{i // 4}") for i in range(80)]
    twins = [(3, 4), (20, 60)]
    parts, _ = split(boards, twins, SplitSettings())
    assert all(len(set(parts[i : i + 4])) == 1 for i in range(0, 80, 4))
    assert parts[3] == parts[4]
    assert parts[20] == parts[60]
    assert {"train", "val", "test"} == set(parts)


def test_the_split_of_the_source_is_kept() -> None:
    boards = [_board(i, part=part) for i, part in enumerate(["val", "train", "test", "train"])]
    assert split(boards, [], SplitSettings())[0] == ["val", "train", "test", "train"]
    assert split(boards, [], SplitSettings(afresh=True))[0] != ["val", "train", "test", "train"]


def test_a_source_without_val_gives_some_of_train() -> None:
    boards = [_board(i, part="test" if i < 5 else "train") for i in range(25)]
    parts, _ = split(boards, [], SplitSettings(val=0.25))
    assert parts[:5] == ["test"] * 5
    assert Counter(parts) == {"train": 15, "val": 5, "test": 5}


def test_few_boards_still_fill_what_is_needed() -> None:
    assert {"train", "val"} <= set(split([_board(i) for i in range(4)], [], SplitSettings())[0])


@pytest.mark.parametrize(("val", "test"), [(0, 0.1), (0.5, 0.5), (-0.1, 0.1), (1.2, 0), (0.2, -0.1)])
def test_shares_that_leave_nothing_are_refused(val: float, test: float) -> None:
    with pytest.raises(DatasetError, match="--val"):
        SplitSettings(val=val, test=test)
