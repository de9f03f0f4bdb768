"""`python -m training dataset`, from a folder to a dataset and its report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.labelled_pictures import write_labels, write_picture, write_yolo

from training.__main__ import main
from training.datasets.form import TEST, TRAIN, VAL, is_form, read_class_names, read_dataset, read_samples

_OBJECT = (
    "<object><name>{}</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object>"
)


def _write_voc(root: Path, count: int) -> Path:
    """Pictures of shorts and mouse bites, and a good board in five; no split."""
    for number in range(count):
        name = "" if number % 5 == 4 else _OBJECT.format(("Short", "Mouse bite")[number % 2])
        write_picture(root / "JPEGImages" / f"{number:02}.png", number)
        path = root / "Annotations" / f"{number:02}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"<annotation>{name}</annotation>")
    return root


def test_a_voc_folder_becomes_a_dataset_to_train_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = _write_voc(tmp_path / "voc", 20), tmp_path / "made"
    assert main(["dataset", "--from", str(source), "--out", str(out), "--val", "0.2", "--test", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert "0 errors" in printed
    assert f"make train DATA={out}" in printed
    assert is_form(out)
    assert read_class_names(out) == ("short", "mouse_bite")
    parts = [read_samples(out, part) for part in (TRAIN, VAL, TEST)]
    assert [len(part) for part in parts] == [12, 4, 4]
    assert {name for part in parts for sample in part for name in sample.classes} == {"short", "mouse_bite"}
    assert sum(not sample.classes for part in parts for sample in part) == 4
    boxes = [box for part in parts for sample in part for box in sample.boxes.tolist()]
    assert all(box == pytest.approx([10, 10, 40, 30], abs=0.01) for box in boxes)
    assert not read_dataset(out, TRAIN).bare_copper


def test_the_same_seed_makes_the_same_dataset(tmp_path: Path) -> None:
    source = _write_voc(tmp_path / "voc", 20)
    listings = []
    for name in ("one", "two"):
        assert main(["dataset", "--from", str(source), "--out", str(tmp_path / name)]) == 0
        listings.append(sorted(str(p.relative_to(tmp_path / name)) for p in (tmp_path / name).rglob("*.png")))
    assert listings[0] == listings[1]


def test_a_dataset_that_was_made_checks_clean(tmp_path: Path) -> None:
    source, out = _write_voc(tmp_path / "voc", 20), tmp_path / "made"
    assert main(["dataset", "--from", str(source), "--out", str(out)]) == 0
    before = sorted(tmp_path.joinpath("made").rglob("*"))
    assert main(["dataset", "--from", str(out), "--out", str(tmp_path / "report"), "--check-only"]) == 0
    assert sorted(tmp_path.joinpath("made").rglob("*")) == before


def test_names_that_occur_twice_are_told_apart(tmp_path: Path) -> None:
    for seed, kind in enumerate(("Short", "Spur")):
        for number in range(4):
            write_picture(tmp_path / "voc" / "images" / kind / f"{number}.png", 10 * seed + number)
            path = tmp_path / "voc" / "Annotations" / kind / f"{number}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"<annotation>{_OBJECT.format(kind)}</annotation>")
    assert main(["dataset", "--from", str(tmp_path / "voc"), "--out", str(tmp_path / "made"), "--test", "0"]) == 0
    samples = [s for part in (TRAIN, VAL) for s in read_samples(tmp_path / "made", part)]
    assert sorted((s.name.split("-")[1].lower(), s.classes) for s in samples) == [
        *[("short", ("short",))] * 4,
        *[("spur", ("spur",))] * 4,
    ]


def test_errors_are_listed_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write_yolo(tmp_path / "boards", {"train": 20, "val": 2}), tmp_path / "made"
    for number in range(12):
        write_labels(source, "train", number, "0 0.5 0.5 nan 0.2\n")
    (source / "labels" / "val" / "val0.txt").unlink()
    assert main(["dataset", "--from", str(source), "--out", str(out)]) == 2
    printed = capsys.readouterr().out
    assert "labels/train/train0.txt:1: short" in printed
    assert "… and 7 more" in printed
    assert "images/val/val0.png: a good board needs an empty label file" in printed
    assert not (out / "data.yaml").exists()
    findings = json.loads((out / "dataset.json").read_text())["findings"]
    assert sum(finding["kind"] == "not_a_number" for finding in findings) == 12
    assert "labels/train/train11.txt:1" in (out / "dataset.html").read_text()


def test_training_on_a_dataset_with_errors_stops_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_yolo(tmp_path / "boards", {"train": 3, "val": 1})
    write_labels(source, "train", 1, "0 0.5 0.5 1.5 0.2\n")
    write_labels(source, "train", 2, "7 0.5 0.5 0.5 0.2\n")
    assert main(["train", "--data", str(source), "--work", str(tmp_path / "work")]) == 2
    error = capsys.readouterr().err
    assert "labels/train/train1.txt:1: short (-24.0, " in error
    assert "labels/train/train2.txt:1: 7 is none of 0 to 1" in error
    assert not list((tmp_path / "work").rglob("*.pt"))


def test_another_source_does_not_take_the_place_of_one_that_runs_come_back_to(tmp_path: Path) -> None:
    work = tmp_path / "work"
    for folder, name in (("a", "Short"), ("b", "Spur")):  # both are put right in a copy
        source = write_yolo(tmp_path / folder / "boards", {"train": 3, "val": 1}, (name,))
        assert main(["train", "--data", str(source), "--work", str(work), "--architecture", "yolov99.yaml"]) == 2
    made = [read_class_names(path.parent) for path in work.rglob("data.yaml")]
    assert sorted(made) == [("short",), ("spur",)]


def test_only_checking_writes_the_report_alone(tmp_path: Path) -> None:
    source, out = write_yolo(tmp_path / "boards", {"train": 3, "val": 1}, ("short",)), tmp_path / "report"
    assert main(["dataset", "--from", str(source), "--out", str(out), "--check-only"]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["dataset.html", "dataset.json"]


def test_brackets_in_a_folders_name_are_said_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = write_yolo(tmp_path / "boards", {"train": 3, "val": 1}, ("short",)), tmp_path / "made[left]"
    assert main(["dataset", "--from", str(source), "--out", str(out)]) == 0
    assert f"make train DATA={out}" in capsys.readouterr().out


def test_the_report_shows_everything_in_one_file(tmp_path: Path) -> None:
    source, out = _write_voc(tmp_path / "voc", 20), tmp_path / "made"
    assert main(["dataset", "--from", str(source), "--out", str(out)]) == 0
    page = (out / "dataset.html").read_text()
    assert not re.search(r"https?://|<script|<link|url\(", page)
    assert page.count("data:image/jpeg;base64") == 12  # six crops of each class
    assert "mouse_bite" in page
    figures = json.loads((out / "dataset.json").read_text())
    assert figures["sound"]
    assert [part["images"] for part in figures["parts"]] == [14, 4, 2]
    assert figures["image_sizes"] == {"96x64": 20}
    assert sum(figures["box_sides"].values()) == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "nowhere"], "nowhere: no such folder"),
        (["--from", "."], "no layout recognised"),
        (["--from", "boards", "--val", "0"], "--val 0"),
        (["--from", "boards", "--seed", "-1"], "--seed -1: less than 0"),
        (["--from", "boards", "--map", "short"], "--map short: not theirs=ours"),
        (["--from", "boards", "--map", "short=shrot"], "shrot is none of"),
        (["--from", "boards", "--out", "boards"], "the source lies there"),
        (["--from", "boards", "--format", "coco"], "no JSON file"),
        (["--from", "boards", "--taxonomy", "none.yaml"], "none.yaml: no such file"),
        (["--from", "both"], "can be read as yolo and as voc"),
    ],
)
def test_wrong_input_is_one_line_and_status_two(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    taxonomy = Path("config/pcb_defects.yaml").read_text()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "pcb_defects.yaml").write_text(taxonomy)
    write_yolo(tmp_path / "boards", {"train": 3, "val": 1})
    _write_voc(write_yolo(tmp_path / "both", {"train": 1}), 1)
    if arguments[1] == ".":
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
    else:
        monkeypatch.chdir(tmp_path)
    assert main(["dataset", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
