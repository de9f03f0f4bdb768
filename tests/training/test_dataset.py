"""The dataset form: DeepPCB brought into it, and how it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.labelled_pictures import write_labels, write_yolo

from training.boxes import Boxes
from training.datasets.build import BadDataset, locate, require_sound
from training.datasets.errors import DatasetError
from training.datasets.form import (
    HELD_OUT,
    TEST,
    TRAIN,
    VAL,
    Sample,
    is_bare_copper,
    is_form,
    read_class_names,
    read_held_out_groups,
    read_samples,
    read_templates,
)
from training.datasets.layouts.deeppcb import CLASS_NAMES, HELD_OUT_GROUPS, read_deeppcb


@pytest.fixture
def dataset(deeppcb: Path, tmp_path: Path) -> Path:
    return locate(deeppcb, tmp_path / "dataset")


def _add_test_list(deeppcb: Path) -> None:
    """As in the whole of DeepPCB: a pair of a group held out becomes the published test set."""
    data = deeppcb / "PCBData"
    lines = (data / "trainval.txt").read_text().splitlines()
    (data / "test.txt").write_text(lines[1] + "\n")
    (data / "trainval.txt").write_text("\n".join([lines[0], *lines[2:]]) + "\n")


def test_no_image_or_template_of_a_held_out_group_is_trained_on(dataset: Path, deeppcb: Path) -> None:
    held_out = {e.image.stem for e in read_deeppcb(deeppcb).entries if e.group in HELD_OUT_GROUPS}
    trained = {path.stem for kind in ("images", "labels") for path in (dataset / kind / TRAIN).iterdir()}
    assert trained == {"13000000", "13000001"}
    assert {f"{sample.name}_test" for sample in read_samples(dataset, HELD_OUT)} == held_out
    assert {path.stem for path in (dataset / "templates" / TRAIN).iterdir()} == trained


def test_the_part_to_validate_on_is_the_one_held_out(dataset: Path) -> None:
    assert [s.name for s in read_samples(dataset, VAL)] == [s.name for s in read_samples(dataset, HELD_OUT)]
    with pytest.raises(DatasetError, match=r"no part test: data\.yaml names train, val"):
        read_samples(dataset, TEST)


def test_the_published_test_list_becomes_the_part_test(deeppcb: Path, tmp_path: Path) -> None:
    _add_test_list(deeppcb)
    root = locate(deeppcb, tmp_path / "dataset")
    assert [sample.name for sample in read_samples(root, TEST)] == ["13000001"]
    assert [sample.name for sample in read_samples(root, TRAIN)] == ["13000000"]
    assert len(read_samples(root, HELD_OUT)) == len(HELD_OUT_GROUPS)
    assert len(read_templates(root, TEST)) == 1
    assert require_sound(root, tmp_path / "report").is_sound


def test_boxes_survive_the_conversion(dataset: Path, deeppcb: Path) -> None:
    samples = {s.name: s for part in (TRAIN, HELD_OUT) for s in read_samples(dataset, part)}
    for entry in read_deeppcb(deeppcb).entries:
        sample = samples[entry.image.stem.removesuffix("_test")]
        expected = np.array([(b.x1, b.y1, b.x2, b.y2) for b in entry.boxes])
        assert np.abs(sample.boxes - expected).max() < 0.01
        assert list(sample.classes) == [b.class_name for b in entry.boxes]
        assert sample.image.shape[:2] == (640, 640)


def test_folders_within_a_part_are_read_as_they_are_checked(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "own", {"train": 3, "val": 1})
    for kind, name in (("images", "train0.png"), ("labels", "train0.txt")):
        part = root / kind / "train"
        (part / "monday").mkdir()
        (part / name).rename(part / "monday" / name)
    assert is_form(root)
    assert len(require_sound(root, tmp_path / "report").boards) == 4
    assert sorted(sample.name for sample in read_samples(root, TRAIN)) == ["train0", "train1", "train2"]
    assert all(sample.classes == ("short",) for sample in read_samples(root, TRAIN))


def test_templates_are_kept_apart_from_samples(dataset: Path) -> None:
    assert len(read_templates(dataset, TRAIN)) == 2
    assert all(template.shape == (640, 640) for template in read_templates(dataset, TRAIN))


def test_class_names_and_look_are_those_of_deeppcb(dataset: Path) -> None:
    assert read_class_names(dataset) == CLASS_NAMES
    assert is_bare_copper(dataset)


def test_an_existing_dataset_is_used_as_it_is(dataset: Path, tmp_path: Path) -> None:
    assert is_form(dataset)
    assert locate(dataset, tmp_path / "elsewhere") == dataset
    assert not (tmp_path / "elsewhere").exists()


def test_a_source_is_converted_once(deeppcb: Path, tmp_path: Path) -> None:
    root = locate(deeppcb, tmp_path / "made")
    marker = root / "images" / TRAIN / "marker"
    marker.touch()
    assert locate(deeppcb, root) == root
    assert marker.exists()


def test_a_source_that_changed_is_converted_again(deeppcb: Path, tmp_path: Path) -> None:
    root = locate(deeppcb, tmp_path / "made")
    labels = deeppcb / "PCBData" / "group13000" / "13000_not" / "13000000.txt"
    labels.write_text("10 10 40 40 2\n")
    assert _first(locate(deeppcb, root)).classes == ("short",)
    assert np.allclose(_boxes(root), [[10, 10, 40, 40]], atol=0.01)


def test_a_source_named_by_its_description_is_converted_again_too(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "own", {"train": 3, "val": 1}, ("Short",)) / "data.yaml"
    root = locate(source, tmp_path / "made")
    write_labels(source.parent, "train", 0, "")
    assert _first(locate(source, root)).classes == ()


def test_another_split_converts_again(deeppcb: Path, tmp_path: Path) -> None:
    root = locate(deeppcb, tmp_path / "made")
    assert read_held_out_groups(root) == HELD_OUT_GROUPS
    locate(deeppcb, root, frozenset({"group13000"}))
    assert {sample.name for sample in read_samples(root, HELD_OUT)} == {"13000000", "13000001"}
    assert read_held_out_groups(root) == {"group13000"}


def test_a_group_that_is_not_there_cannot_be_held_out(deeppcb: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="group99999"):
        locate(deeppcb, tmp_path / "dataset", frozenset({"group99999"}))


def test_what_somebody_else_put_there_is_never_removed(deeppcb: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(DatasetError, match="no dataset made here"):
        locate(deeppcb, tmp_path / "mine")
    (tmp_path / "mine" / "dataset.json").touch()  # of a check, or another program's
    with pytest.raises(DatasetError, match="no dataset made here"):
        locate(deeppcb, tmp_path / "mine")
    with pytest.raises(DatasetError, match="the source lies there"):
        locate(deeppcb, tmp_path)
    assert (tmp_path / "mine" / "thesis.txt").exists()
    assert (deeppcb / "PCBData" / "trainval.txt").exists()


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data\.yaml is missing"):
        read_samples(tmp_path, TRAIN)


def test_an_unreadable_image_stops_before_training(dataset: Path, tmp_path: Path) -> None:
    (dataset / "images" / TRAIN / "13000000.jpg").write_bytes(b"no picture")
    with pytest.raises(BadDataset, match=r"images/train/13000000\.jpg: not an image"):
        require_sound(dataset, tmp_path / "report")
    with pytest.raises(DatasetError, match="not an image"):
        read_samples(dataset, TRAIN)


def test_outlines_are_read_as_boxes(dataset: Path) -> None:
    (dataset / "labels" / TRAIN / "13000000.txt").write_text("1 0.1 0.2 0.4 0.3 0.2 0.6\n")
    assert np.allclose(_boxes(dataset), [[64, 128, 256, 384]])
    (dataset / "labels" / TRAIN / "13000000.txt").write_text("6 0.1 0.2 0.4 0.3\n")
    with pytest.raises(DatasetError, match=r"13000000\.txt:1: 6 is none of 0 to 5"):
        read_samples(dataset, TRAIN)


def test_a_model_never_learns_foreign_names(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "foreign", {"train": 3, "val": 1}, ("Short", "never used"))
    root = locate(source, tmp_path / "made")
    assert root == tmp_path / "made"
    assert read_class_names(root) == ("short",)


def test_a_part_that_is_left_empty_is_taken_from_the_others(tmp_path: Path) -> None:
    source = write_yolo(tmp_path / "own", {"train": 5}, ("short",))
    (source / "data.yaml").write_text((source / "data.yaml").read_text() + "val:\n")
    root = locate(source, tmp_path / "made")
    assert [len(read_samples(root, part)) for part in (TRAIN, VAL)] == [4, 1]


def _first(root: Path) -> Sample:
    return read_samples(root, TRAIN)[0]


def _boxes(root: Path) -> Boxes:
    return _first(root).boxes
