"""YOLO datasets as Ultralytics, Roboflow and labelling tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.labelled_pictures import write_labels, write_picture, write_yolo

from training.datasets.errors import DatasetError
from training.datasets.findings import Kind
from training.datasets.layouts.detect import detect
from training.datasets.layouts.yolo import read_yolo
from training.datasets.records import Source


def _describe(root: Path, **changes: object) -> None:
    description = yaml.safe_load((root / "data.yaml").read_text()) | changes
    (root / "data.yaml").write_text(yaml.safe_dump(description))


def _parts(source: Source) -> dict[str, str | None]:
    return {entry.image.stem: entry.part for entry in source.entries}


@pytest.mark.parametrize("names", [("short", "spur"), {0: "short", 1: "spur"}])
def test_names_may_be_a_list_or_a_table(tmp_path: Path, names: object) -> None:
    source = read_yolo(write_yolo(tmp_path, {"train": 1, "val": 1}, names))
    assert source.class_names == ("short", "spur")
    assert _parts(source) == {"train0": "train", "val0": "val"}
    box = source.entries[0].boxes[0]
    assert (box.class_name, box.x1, box.y1, box.x2, box.y2) == ("short", 0.375, 0.375, 0.625, 0.625)
    assert box.where == "labels/train/train0.txt:1"
    assert not source.findings


@pytest.mark.parametrize("names", [{1: "short"}, {0: "short", "x": "spur"}, [], "short", [3]])
def test_names_that_are_none_are_refused(tmp_path: Path, names: object) -> None:
    write_yolo(tmp_path, {"train": 1})
    _describe(tmp_path, names=names)
    with pytest.raises(DatasetError, match=r"data\.yaml: `names` is neither"):
        read_yolo(tmp_path)


def test_a_part_may_be_several_folders(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"a": 1, "b": 2, "val": 1})
    _describe(tmp_path, train=["images/a", "images/b"])
    assert list(_parts(read_yolo(tmp_path)).values()) == ["train"] * 3 + ["val"]


def test_a_part_may_be_a_list_of_files(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"all": 3})
    (tmp_path / "train.txt").write_text("./images/all/all0.png\n")
    (tmp_path / "val.txt").write_text("images/all/all1.png\n\nimages/all/all2.png\n")
    _describe(tmp_path, train="train.txt", val="val.txt")
    assert _parts(read_yolo(tmp_path)) == {"all0": "train", "all1": "val", "all2": "val"}


def test_path_leads_to_the_images_and_may_be_out_of_date(tmp_path: Path) -> None:
    write_yolo(tmp_path / "inner", {"train": 1})
    (tmp_path / "inner" / "data.yaml").rename(tmp_path / "data.yaml")
    _describe(tmp_path, path="inner")
    assert len(read_yolo(tmp_path).entries) == 1
    write_yolo(tmp_path / "other", {"train": 1})
    _describe(tmp_path / "other", path="not/there/any/more")
    assert len(read_yolo(tmp_path / "other").entries) == 1


def test_roboflow_writes_parts_from_one_folder_up(tmp_path: Path) -> None:
    for part, seed in (("train", 1), ("valid", 2)):
        write_picture(tmp_path / part / "images" / f"board_{seed}_png.rf.0a{seed}.png", seed)
        labels = tmp_path / part / "labels" / f"board_{seed}_png.rf.0a{seed}.txt"
        labels.parent.mkdir()
        labels.write_text("0 0.5 0.5 0.2 0.2\n")
    description = {"names": ["short"], "train": "../train/images", "val": "../valid/images"}
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(description))
    source = read_yolo(tmp_path)
    assert [entry.part for entry in source.entries] == ["train", "val"]
    assert [entry.group for entry in source.entries] == ["board_1_png", "board_2_png"]
    assert all(entry.boxes for entry in source.entries)


def test_folders_without_a_description_need_class_names(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"train": 1, "val": 1})
    (tmp_path / "data.yaml").unlink()
    assert detect(tmp_path) == "yolo"
    with pytest.raises(DatasetError, match=r"classes\.txt, one a line"):
        read_yolo(tmp_path)
    (tmp_path / "classes.txt").write_text("short\nspur\n")
    source = read_yolo(tmp_path)
    assert source.class_names == ("short", "spur")
    assert _parts(source) == {"train0": "train", "val0": "val"}


def test_class_names_in_another_encoding_are_refused(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"train": 1})
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_bytes("부품불량\n".encode("cp949"))
    with pytest.raises(DatasetError, match=r"classes\.txt: not UTF-8"):
        read_yolo(tmp_path)


def test_the_mark_that_windows_puts_first_is_no_label(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"train": 1})
    write_labels(tmp_path, "train", 0, "\ufeff0 0.5 0.5 0.2 0.2\n")
    assert not read_yolo(tmp_path).findings


def test_an_outline_becomes_its_box(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"train": 1})
    write_labels(tmp_path, "train", 0, "1 0.1 0.2 0.4 0.3 0.2 0.6\n")
    source = read_yolo(tmp_path)
    box = source.entries[0].boxes[0]
    assert (box.class_name, box.x1, box.y1, box.x2, box.y2) == ("spur", 0.1, 0.2, 0.4, 0.6)
    assert [finding.kind for finding in source.findings] == [Kind.OUTLINE]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.2", Kind.BAD_LABEL),
        ("0 0.5 0.5 0.2 0.2 0.1", Kind.BAD_LABEL),
        ("short 0.5 0.5 0.2 0.2", Kind.BAD_LABEL),
        ("2 0.5 0.5 0.2 0.2", Kind.CLASS_INDEX),
        ("-1 0.5 0.5 0.2 0.2", Kind.CLASS_INDEX),
        ("0.5 0.5 0.5 0.2 0.2", Kind.CLASS_INDEX),
        ("nan 0.5 0.5 0.2 0.2", Kind.CLASS_INDEX),
    ],
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, line: str, kind: Kind) -> None:
    write_yolo(tmp_path, {"train": 1})
    write_labels(tmp_path, "train", 0, f"0 0.5 0.5 0.2 0.2\n{line}\n")
    source = read_yolo(tmp_path)
    assert [(f.kind, f.where) for f in source.findings] == [(kind, "labels/train/train0.txt:2")]
    assert len(source.entries[0].boxes) == 1


def test_labels_without_an_image_are_named(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"train": 2})
    (tmp_path / "images" / "train" / "train1.png").unlink()
    findings = read_yolo(tmp_path).findings
    assert [(f.kind, f.where) for f in findings] == [(Kind.NO_IMAGE, "labels/train/train1.txt")]


def test_a_part_that_is_not_there_is_named(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"train": 1})
    _describe(tmp_path, val="images/gone")
    findings = read_yolo(tmp_path).findings
    assert [(f.kind, f.where, f.message) for f in findings] == [(Kind.MISSING_FILE, "data.yaml: val", "images/gone")]


def test_an_image_listed_in_two_parts_is_a_leak(tmp_path: Path) -> None:
    write_yolo(tmp_path, {"train": 1})
    _describe(tmp_path, val="images/train")
    assert [finding.kind for finding in read_yolo(tmp_path).findings] == [Kind.LEAK]


def test_a_description_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [short\n")
    with pytest.raises(DatasetError, match=r"data\.yaml: not YAML"):
        read_yolo(tmp_path)
