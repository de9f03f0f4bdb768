"""Reading the DeepPCB layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.datasets.errors import DatasetError
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS, Label, parse_labels, read_pairs


@pytest.mark.parametrize(
    ("kind", "class_name"),
    [(1, "open_circuit"), (2, "short"), (3, "mouse_bite"), (4, "spur"), (5, "spurious_copper"), (6, "pin_hole")],
)
def test_label_types_get_the_names_of_the_taxonomy(kind: int, class_name: str) -> None:
    assert parse_labels(f"10 20 30 45 {kind}\n", "x.txt") == (Label(class_name, 10, 20, 30, 45),)


def test_labels_may_be_separated_by_commas_too() -> None:
    assert parse_labels("1,2,3,4,2", "x.txt") == (Label("short", 1, 2, 3, 4),)


@pytest.mark.parametrize(
    "line", ["1 2 3 4", "1 2 3 4 7", "a b c d 1", "1 2 3 4 0", "9 2 3 4 1", "1 4 3 4 1", "1 2 3 4 1 5"]
)
def test_a_line_that_is_no_label_is_refused_by_name(line: str) -> None:
    with pytest.raises(DatasetError, match=r"board\.txt"):
        parse_labels(line, "board.txt")


def test_every_listed_pair_is_read(deeppcb: Path) -> None:
    pairs = read_pairs(deeppcb)
    assert [pair.name for pair in pairs][:2] == ["13000000", "13000001"]
    assert {pair.group for pair in pairs[2:]} == HELD_OUT_GROUPS
    assert all(len(pair.labels) == 6 and pair.image.is_file() and pair.template.is_file() for pair in pairs)


def test_a_folder_without_the_listing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"trainval\.txt is missing"):
        read_pairs(tmp_path)


@pytest.mark.parametrize("missing", ["13000/13000001_temp.jpg", "13000/13000000_test.jpg", "13000_not/13000000.txt"])
def test_a_listed_file_that_is_missing_is_refused(deeppcb: Path, missing: str) -> None:
    (deeppcb / "PCBData" / "group13000" / missing).unlink()
    with pytest.raises(DatasetError, match=Path(missing).name):
        read_pairs(deeppcb)


def test_a_listing_that_is_none_is_refused(deeppcb: Path) -> None:
    (deeppcb / "PCBData" / "trainval.txt").write_text("only-one-word\n")
    with pytest.raises(DatasetError, match="only-one-word"):
        read_pairs(deeppcb)
