"""Pascal VOC datasets: one XML file for each image."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.labelled_pictures import HEIGHT, WIDTH, write_picture

from training.datasets.findings import Kind
from training.datasets.layouts.detect import detect
from training.datasets.layouts.voc import read_voc

_OBJECT = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
_SHORT = _OBJECT.format("short", 11, 21, 40, 30)


def _write(path: Path, content: str = _SHORT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    path.write_text(f"<annotation><filename>{path.stem}.png</filename>{size}{content}</annotation>")


def test_pixels_are_counted_from_one_and_both_ends_belong_to_the_box(tmp_path: Path) -> None:
    _write(tmp_path / "Annotations" / "a.xml")
    write_picture(tmp_path / "JPEGImages" / "a.png", 0)
    assert detect(tmp_path) == "voc"
    source = read_voc(tmp_path)
    box = source.entries[0].boxes[0]
    assert (box.class_name, box.x1, box.y1, box.x2, box.y2) == ("short", 10, 20, 40, 30)
    assert box.where == "Annotations/a.xml object 1"
    assert source.entries[0].size == (WIDTH, HEIGHT)
    assert not source.findings


def test_lists_make_the_parts(tmp_path: Path) -> None:
    for seed, name in enumerate("abc"):
        _write(tmp_path / "Annotations" / f"{name}.xml")
        write_picture(tmp_path / "JPEGImages" / f"{name}.png", seed)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for part, names in (("trainval", "a\nb\n"), ("val", "b\n"), ("test", "c\n"), ("short_train", "a -1\n")):
        (lists / f"{part}.txt").write_text(names)
    assert {e.image.stem: e.part for e in read_voc(tmp_path).entries} == {"a": "train", "b": "val", "c": "test"}


def test_names_in_lists_may_hold_spaces(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "val")):
        _write(tmp_path / "Annotations" / f"board {part}.xml")
        write_picture(tmp_path / "JPEGImages" / f"board {part}.png", seed)
        lists = tmp_path / "ImageSets" / "Main"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{part}.txt").write_text(f"board {part}\n")
    assert [e.part for e in read_voc(tmp_path).entries] == ["train", "val"]


@pytest.mark.parametrize("folder", ["", "photographs/", "C:\\photographs\\"])
def test_a_file_may_bear_another_name_than_the_image_that_it_names(tmp_path: Path, folder: str) -> None:
    write_picture(tmp_path / "board_17.png", 0)
    xml = f"<annotation><filename>{folder}board_17.png</filename>{_SHORT}</annotation>"
    (tmp_path / "0001.xml").write_text(xml)
    source = read_voc(tmp_path)
    assert [len(entry.boxes) for entry in source.entries] == [1]
    assert not source.findings


def test_folders_of_classes_lie_beside_each_other(tmp_path: Path) -> None:
    for seed, kind in enumerate(("Short", "Spur")):
        _write(tmp_path / "Annotations" / kind / "01.xml", _OBJECT.format(kind.lower(), 1, 1, 9, 9))
        write_picture(tmp_path / "images" / kind / "01.png", seed)
    entries = read_voc(tmp_path).entries
    assert [(e.image.parent.name, e.boxes[0].class_name) for e in entries] == [("Short", "short"), ("Spur", "spur")]


def test_folders_of_parts_make_the_parts(tmp_path: Path) -> None:
    for seed, part in enumerate(("train", "valid", "test")):
        _write(tmp_path / part / f"{part}.xml")
        write_picture(tmp_path / part / f"{part}.png", seed)
    found = {entry.image.stem: entry.part for entry in read_voc(tmp_path).entries}
    assert found == {"train": "train", "valid": "val", "test": "test"}


def test_an_image_without_a_file_is_not_labelled_and_one_without_objects_is_good(tmp_path: Path) -> None:
    _write(tmp_path / "good.xml", "")
    for seed, name in enumerate(("good", "lost")):
        write_picture(tmp_path / f"{name}.png", seed)
    assert [(e.image.stem, e.labelled, e.boxes) for e in read_voc(tmp_path).entries] == [
        ("good", True, ()),
        ("lost", False, ()),
    ]


@pytest.mark.parametrize(
    ("content", "kind", "where"),
    [
        ("<object><name>short</name></object>", Kind.BAD_LABEL, "a.xml object 2"),
        (_OBJECT.format("", 1, 1, 9, 9), Kind.BAD_LABEL, "a.xml object 2"),
        (_OBJECT.format("short", "x", 1, 9, 9), Kind.BAD_LABEL, "a.xml object 2"),
        ("<object>", Kind.BAD_LABEL, "a.xml"),
    ],
)
def test_a_label_that_cannot_be_read_is_named(tmp_path: Path, content: str, kind: Kind, where: str) -> None:
    _write(tmp_path / "a.xml", _SHORT + content)
    write_picture(tmp_path / "a.png", 0)
    assert [(finding.kind, finding.where) for finding in read_voc(tmp_path).findings] == [(kind, where)]


def test_an_encoding_that_the_parser_lacks_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", 0)
    (tmp_path / "a.xml").write_text("<?xml version='1.0' encoding='euc-kr'?><annotation></annotation>")
    assert [(finding.kind, finding.where) for finding in read_voc(tmp_path).findings] == [(Kind.BAD_LABEL, "a.xml")]


def test_labels_without_an_image_are_named(tmp_path: Path) -> None:
    _write(tmp_path / "a.xml")
    findings = read_voc(tmp_path).findings
    assert [(f.kind, f.where, f.message) for f in findings] == [(Kind.NO_IMAGE, "a.xml", "a.png is not there")]
