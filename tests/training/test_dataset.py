"""Conversion into the project's dataset form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.datasets.convert import locate, prepare
from training.datasets.errors import DatasetError
from training.datasets.form import HELD_OUT, TRAIN, read_class_names, read_held_out_groups, read_samples, read_templates
from training.datasets.layouts.deeppcb import CLASS_NAMES, HELD_OUT_GROUPS, read_pairs


@pytest.fixture
def dataset(deeppcb: Path, tmp_path: Path) -> Path:
    prepare(deeppcb, tmp_path / "dataset")
    return tmp_path / "dataset"


def test_prepare_counts_the_images_of_each_part(deeppcb: Path, tmp_path: Path) -> None:
    assert prepare(deeppcb, tmp_path / "dataset") == {TRAIN: 2, HELD_OUT: len(HELD_OUT_GROUPS)}


def test_no_image_or_template_of_a_held_out_group_is_trained_on(dataset: Path, deeppcb: Path) -> None:
    held_out = {pair.name for pair in read_pairs(deeppcb) if pair.group in HELD_OUT_GROUPS}
    trained = {path.stem for kind in ("images", "labels", "templates") for path in (dataset / kind / TRAIN).iterdir()}
    assert trained == {"13000000", "13000001"}
    assert not trained & held_out
    assert {sample.name for sample in read_samples(dataset, HELD_OUT)} == held_out


def test_boxes_survive_the_conversion(dataset: Path, deeppcb: Path) -> None:
    samples = {s.name: s for part in (TRAIN, HELD_OUT) for s in read_samples(dataset, part)}
    for pair in read_pairs(deeppcb):
        sample = samples[pair.name]
        expected = np.array([(d.x1, d.y1, d.x2, d.y2) for d in pair.labels])
        assert np.abs(sample.boxes - expected).max() < 0.01
        assert list(sample.classes) == [d.class_name for d in pair.labels]
        assert sample.image.shape[:2] == (640, 640)


def test_templates_are_kept_apart_from_samples(dataset: Path) -> None:
    assert len(read_templates(dataset, TRAIN)) == 2
    assert all(template.shape == (640, 640) for template in read_templates(dataset, TRAIN))


def test_class_names_come_in_the_order_of_their_indices(dataset: Path) -> None:
    assert read_class_names(dataset) == CLASS_NAMES


def test_an_existing_dataset_is_used_as_it_is(dataset: Path, tmp_path: Path) -> None:
    assert locate(dataset, tmp_path / "elsewhere") == dataset
    assert not (tmp_path / "elsewhere").exists()


def test_deeppcb_is_converted_once(deeppcb: Path, tmp_path: Path) -> None:
    root = locate(deeppcb, tmp_path / "made")
    marker = root / "images" / TRAIN / "marker"
    marker.touch()
    assert locate(deeppcb, root) == root
    assert marker.exists()


def test_another_split_converts_again(deeppcb: Path, tmp_path: Path) -> None:
    root = locate(deeppcb, tmp_path / "made")
    assert read_held_out_groups(root) == HELD_OUT_GROUPS
    locate(deeppcb, root, frozenset({"group13000"}))
    assert {sample.name for sample in read_samples(root, HELD_OUT)} == {"13000000", "13000001"}
    assert read_held_out_groups(root) == {"group13000"}


def test_a_group_that_is_not_there_cannot_be_held_out(deeppcb: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="group99999"):
        prepare(deeppcb, tmp_path / "dataset", frozenset({"group99999"}))


def test_an_empty_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"data\.yaml is missing"):
        read_samples(tmp_path, TRAIN)


def test_an_unreadable_image_is_refused(dataset: Path) -> None:
    (dataset / "images" / TRAIN / "13000000.jpg").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="not an image"):
        read_samples(dataset, TRAIN)
