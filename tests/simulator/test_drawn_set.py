"""Pictures as files: labels where the defects are, good boards without any, and nothing written over."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pcb_bus.errors import ConfigError
from simulator.__main__ import main
from simulator.assembled.defects import DEFECT_CLASSES
from simulator.drawn_set import DrawOptions, write_set
from simulator.painter import assembled_drawer
from simulator.schedule import Schedule

SMALL = {"width": 480, "height": 360}


def boxes_of(label_file: Path) -> list[tuple[str, float, float, float, float]]:
    """Class, left, top, right and bottom in pixels of each line."""
    rows = [line.split() for line in label_file.read_text(encoding="utf-8").splitlines()]
    return [_box(int(row[0]), *(float(field) for field in row[1:])) for row in rows]


def _box(index: int, x: float, y: float, width: float, height: float) -> tuple[str, float, float, float, float]:
    x, y, width, height = x * 480, y * 360, width * 480, height * 360
    return DEFECT_CLASSES[index], x - width / 2, y - height / 2, x + width / 2, y + height / 2


def test_a_labelled_set_says_what_was_drawn_and_where(tmp_path: Path) -> None:
    schedule = Schedule(seed=5, defect_share=0.6, oddity_share=0)
    write_set(DrawOptions(tmp_path, 3, schedule, **SMALL))
    assert sum(1 for _ in tmp_path.rglob("*.jpg")) == 6
    for side in ("left", "right"):
        draw = assembled_drawer(schedule, side, 480, 360)
        for index in range(3):
            name, board = f"{side}-{index:05d}", draw(index)
            expected = [
                (d.class_name, *(pytest.approx(at, abs=0.01) for at in (d.x1, d.y1, d.x2, d.y2))) for d in board.defects
            ]
            assert boxes_of(tmp_path / "labels" / "train" / f"{name}.txt") == expected
            picture = cv2.imread(str(tmp_path / "images" / "train" / f"{name}.jpg"))
            assert np.abs(picture.astype(int) - board.image).mean() < 5


def test_a_set_may_have_several_parts(tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("val", 2)):
        write_set(DrawOptions(tmp_path, 1, Schedule(seed=seed, oddity_share=0), ("left",), split=split, **SMALL))
    described = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert (described["train"], described["val"]) == ("images/train", "images/val")
    assert tuple(described["names"].values()) == DEFECT_CLASSES
    one, other = (tmp_path / "images" / split / "left-00000.jpg" for split in ("train", "val"))
    assert one.read_bytes() != other.read_bytes()


def test_good_boards_are_plain_pictures_of_each_side(tmp_path: Path) -> None:
    assert main(["draw", "--out", str(tmp_path), "--boards", "2", "--good", "--defects", "1"]) == 0
    pictures = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert pictures == [f"{side}/{side}-0000{index}.jpg" for side in ("left", "right") for index in range(2)]
    drawn = assembled_drawer(Schedule(defect_share=0, oddity_share=0), "left", 640, 480)(1).image
    picture = cv2.imread(str(tmp_path / "left" / "left-00001.jpg"))
    assert np.abs(picture.astype(int) - drawn).mean() < 5


def test_an_oddity_stands_in_the_name_and_in_no_label(tmp_path: Path) -> None:
    write_set(DrawOptions(tmp_path, 1, Schedule(oddity_share=1), ("left",), **SMALL))
    (picture,) = (tmp_path / "images" / "train").iterdir()
    (fault,) = Schedule(oddity_share=1).faults(0, "left")
    assert picture.stem == f"left-00000-{fault.name}"
    assert (tmp_path / "labels" / "train" / f"{picture.stem}.txt").read_text() == ""


def test_pictures_are_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = DrawOptions(tmp_path, 1, Schedule(), ("left",), good=True, **SMALL)
    write_set(options)
    with pytest.raises(ConfigError, match="already holds pictures of the left side"):
        write_set(options)
    assert main(["draw", "--out", str(tmp_path), "--boards", "1", "--good"]) == 2
    assert "--out" in capsys.readouterr().err


def test_wrong_options_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, named in ((["--boards", "0"], "--boards"), (["--boards", "1", "--product", "x"], "--product")):
        with pytest.raises(SystemExit) as ended:
            main(["draw", "--out", str(tmp_path), *arguments])
        assert ended.value.code == 2
        assert named in capsys.readouterr().err
