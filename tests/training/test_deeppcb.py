"""Reading the DeepPCB layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.datasets.errors import DatasetError
from training.datasets.findings import Finding, Kind
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS, parse_labels, read_deeppcb
from training.datasets.records import HELD_OUT, TRAIN, LabelBox


@pytest.mark.parametrize(
    ("kind", "class_name"),
    [(1, "open_circuit"), (2, "short"), (3, "mouse_bite"), (4, "spur"), (5, "spurious_copper"), (6, "pin_hole")],
)
def test_label_types_get_the_names_of_the_taxonomy(kind: int, class_name: str) -> None:
    assert parse_labels(f"10 20 30 45 {kind}\n", "x.txt", []) == (LabelBox(class_name, 10, 20, 30, 45, "x.txt:1"),)


def test_labels_may_be_separated_by_commas_too() -> None:
    assert [label.class_name for label in parse_labels("1,2,3,4,2", "x.txt", [])] == ["short"]


@pytest.mark.parametrize("line", ["1 2 3 4", "a b c d 1", "1 2 3 4 1 5", "1 4 3.5 4 1"])
def test_a_line_that_is_no_label_is_named(line: str) -> None:
    findings: list[Finding] = []
    assert parse_labels(f"1 2 3 4 1\n{line}\n", "board.txt", findings)[0].where == "board.txt:1"
    assert [(finding.kind, finding.where) for finding in findings] == [(Kind.BAD_LABEL, "board.txt:2")]


@pytest.mark.parametrize("kind", [0, 7])
def test_a_type_that_there_is_not_is_named(kind: int) -> None:
    findings: list[Finding] = []
    assert not parse_labels(f"1 2 3 4 {kind}", "board.txt", findings)
    assert [(finding.kind, finding.where) for finding in findings] == [(Kind.CLASS_INDEX, "board.txt:1")]


def test_every_listed_pair_is_read(deeppcb: Path) -> None:
    source = read_deeppcb(deeppcb)
    assert [entry.image.name for entry in source.entries][:2] == ["13000000_test.jpg", "13000001_test.jpg"]
    assert [entry.part for entry in source.entries][:2] == [TRAIN, TRAIN]
    assert {entry.group for entry in source.entries if entry.part == HELD_OUT} == HELD_OUT_GROUPS
    assert all(len(e.boxes) == 6 and e.image.is_file() and e.template for e in source.entries)
    assert not source.findings


def test_the_folder_inside_will_do(deeppcb: Path) -> None:
    assert len(read_deeppcb(deeppcb / "PCBData").entries) == len(read_deeppcb(deeppcb).entries)


def test_a_folder_without_the_listing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"trainval\.txt is missing"):
        read_deeppcb(tmp_path)


@pytest.mark.parametrize("missing", ["13000/13000001_temp.jpg", "13000_not/13000000.txt"])
def test_a_listed_file_that_is_missing_is_named(deeppcb: Path, missing: str) -> None:
    (deeppcb / "PCBData" / "group13000" / missing).unlink()
    findings = read_deeppcb(deeppcb).findings
    assert [(f.kind, f.message) for f in findings] == [(Kind.MISSING_FILE, f"group13000/{missing}")]


def test_a_listing_that_is_none_is_named(deeppcb: Path) -> None:
    with (deeppcb / "PCBData" / "trainval.txt").open("a") as listing:
        listing.write("only-one-word\n")
    findings = read_deeppcb(deeppcb).findings
    assert [(f.kind, f.where) for f in findings] == [(Kind.BAD_LABEL, "trainval.txt:4")]
    assert "only-one-word" in findings[0].message
