"""COCO datasets: instances in JSON files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.labelled_pictures import HEIGHT, WIDTH, write_picture

from training.datasets.errors import DatasetError
from training.datasets.findings import Kind
from training.datasets.layouts.coco import read_coco
from training.datasets.layouts.coco_outline import extent
from training.datasets.layouts.detect import detect

_CATEGORIES = [{"id": 3, "name": "short"}, {"id": 7, "name": "Mouse_bite"}]


def _write(path: Path, images: int = 1, *annotations: dict[str, Any]) -> None:
    listed = [{"id": i, "file_name": f"{path.stem}{i}.png", "width": WIDTH, "height": HEIGHT} for i in range(images)]
    numbered = [{"id": i, "image_id": 0, "category_id": 3} | each for i, each in enumerate(annotations, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": listed, "annotations": numbered, "categories": _CATEGORIES}))


def test_boxes_are_corner_and_size(tmp_path: Path) -> None:
    _write(tmp_path / "all.json", 2, {"bbox": [10, 20, 30, 8.5]}, {"bbox": [1, 2, 3, 4], "category_id": 7})
    write_picture(tmp_path / "all0.png", 0)
    write_picture(tmp_path / "all1.png", 1)
    assert detect(tmp_path) == "coco"
    source = read_coco(tmp_path)
    box = source.entries[0].boxes[0]
    assert (box.class_name, box.x1, box.y1, box.x2, box.y2) == ("short", 10, 20, 40, 28.5)
    assert box.where == "all.json annotation 1"
    assert [box.class_name for box in source.entries[0].boxes] == ["short", "Mouse_bite"]
    assert source.entries[0].part is None
    assert source.entries[1].labelled, "an image that the file lists without a box is a good board"
    assert not source.entries[1].boxes
    assert not source.findings


def test_parts_come_from_the_files_names(tmp_path: Path) -> None:
    for part in ("train2017", "val2017"):
        _write(tmp_path / "annotations" / f"instances_{part}.json")
        write_picture(tmp_path / part / f"instances_{part}0.png", len(part))
    source = read_coco(tmp_path)
    assert [(entry.part, entry.image.is_file()) for entry in source.entries] == [("train", True), ("val", True)]


def test_roboflow_keeps_each_part_in_a_folder(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        _write(tmp_path / part / "_annotations.coco.json")
        write_picture(tmp_path / part / "_annotations.coco0.png", len(part))
    assert [(e.part, e.image.is_file()) for e in read_coco(tmp_path).entries] == [("train", True), ("val", True)]


def test_the_images_may_lie_elsewhere(tmp_path: Path) -> None:
    _write(tmp_path / "labels" / "all.json")
    write_picture(tmp_path / "far" / "all0.png", 0)
    assert not read_coco(tmp_path / "labels").entries[0].image.is_file()
    assert read_coco(tmp_path / "labels", tmp_path / "far").entries[0].image.is_file()
    assert read_coco(tmp_path / "labels" / "all.json", tmp_path / "far").entries[0].image.is_file()


def test_crowds_are_left_out_and_said_so(tmp_path: Path) -> None:
    _write(tmp_path / "all.json", 1, {"bbox": [1, 2, 30, 4], "iscrowd": 1}, {"bbox": [1, 2, 30, 4]})
    source = read_coco(tmp_path)
    assert len(source.entries[0].boxes) == 1
    assert [(f.kind, f.where) for f in source.findings] == [(Kind.CROWD, "all.json annotation 1")]


def test_a_board_with_nothing_but_a_crowd_is_no_good_board(tmp_path: Path) -> None:
    _write(tmp_path / "all.json", 2, {"bbox": [1, 2, 30, 4], "iscrowd": 1})
    for number in range(2):
        write_picture(tmp_path / f"all{number}.png", number)
    source = read_coco(tmp_path)
    assert [entry.image.name for entry in source.entries] == ["all1.png"]
    assert [(f.kind, f.where) for f in source.findings][1:] == [(Kind.LEFT_OUT, "all0.png")]


def test_an_outline_becomes_its_box(tmp_path: Path) -> None:
    _write(tmp_path / "all.json", 1, {"segmentation": [[10, 20, 40, 25, 20, 30.5]]})
    source = read_coco(tmp_path)
    box = source.entries[0].boxes[0]
    assert (box.x1, box.y1, box.x2, box.y2) == (10, 20, 40, 30.5)
    assert [finding.kind for finding in source.findings] == [Kind.OUTLINE]


def test_run_lengths_become_their_box() -> None:
    # A mask of 4 rows and 5 columns with rows 1-2 of columns 1-3 set: 5 off, 2 on, 2 off, 2 on, 2 off, 2 on, 5 off.
    runs = [5, 2, 2, 2, 2, 2, 5]
    assert extent({"size": [4, 5], "counts": runs}) == (1, 1, 4, 3)
    # As pycocotools packs them: from the fourth on, each as its difference from the last but one.
    assert extent({"size": [4, 5], "counts": "522000" + "3"}) == (1, 1, 4, 3)
    assert extent({"size": [4, 5], "counts": [5, 6, 9]}) == (1, 0, 3, 4), "a run into the next column fills both"
    assert extent({"size": [4, 5], "counts": [20]}) is None


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ({"bbox": [1, 2, 3]}, Kind.BAD_LABEL),
        ({"bbox": None}, Kind.BAD_LABEL),
        ({"bbox": [1, 2, 3, "4"]}, Kind.BAD_LABEL),
        ({"bbox": [1, 2, 3, 4], "image_id": 9}, Kind.NO_IMAGE),
        ({"bbox": [1, 2, 3, 4], "category_id": 1}, Kind.CLASS_INDEX),
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(tmp_path: Path, annotation: dict[str, Any], kind: Kind) -> None:
    _write(tmp_path / "all.json", 1, {"bbox": [1, 2, 3, 4]}, annotation)
    source = read_coco(tmp_path)
    assert [(f.kind, f.where) for f in source.findings] == [(kind, "all.json annotation 2")]
    assert len(source.entries[0].boxes) == 1


def test_images_that_nothing_names_are_mentioned(tmp_path: Path) -> None:
    _write(tmp_path / "all.json")
    write_picture(tmp_path / "all0.png", 0)
    write_picture(tmp_path / "forgotten.png", 1)
    findings = read_coco(tmp_path).findings
    assert [(finding.kind, finding.where) for finding in findings] == [(Kind.UNLISTED, "forgotten.png")]


def test_another_json_file_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(DatasetError, match="no JSON file with"):
        read_coco(tmp_path)
