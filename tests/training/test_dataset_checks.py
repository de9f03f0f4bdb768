"""Every check of a dataset fires on what it is for, and a clean set passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.labelled_pictures import HEIGHT, WIDTH, picture, write_labels, write_picture, write_yolo

from training.datasets.errors import DatasetError
from training.datasets.examine import Examined, ExamineSettings, examine
from training.datasets.findings import Kind, Level
from training.datasets.layouts.detect import read_source
from training.datasets.split import SplitSettings

_SHORT = "0 0.5 0.5 0.25 0.25\n"


def _examine(root: Path, settings: ExamineSettings | None = None) -> Examined:
    return examine(read_source(root), settings or ExamineSettings())


def _problems(examined: Examined) -> list[tuple[Kind, str]]:
    return [(f.kind, f.where) for f in examined.findings if f.kind.level is not Level.NOTE]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Five pictures to train on, the last one of a good board, and two to validate on; all defects are shorts."""
    root = write_yolo(tmp_path / "boards", {"train": 5, "val": 2}, ("short",))
    write_labels(root, "train", 4, "")
    return root


def test_a_clean_set_passes(clean: Path) -> None:
    examined = _examine(clean)
    assert examined.is_sound
    assert not _problems(examined)
    assert examined.parts == ("train",) * 5 + ("val",) * 2
    assert [len(board.boxes) for board in examined.boards] == [1, 1, 1, 1, 0, 1, 1]
    assert np.allclose(examined.boards[0].boxes, [[36, 24, 60, 40]])


def _remove_labels(root: Path) -> None:
    (root / "labels/train/train1.txt").unlink()


def _remove_image(root: Path) -> None:
    (root / "images/train/train1.png").unlink()


def _spoil_image(root: Path) -> None:
    (root / "images/train/train1.png").write_bytes(b"no picture")


def _empty_image(root: Path) -> None:
    (root / "images/train/train1.png").write_bytes(b"")


def _cut_image_short(root: Path) -> None:
    jpeg = cv2.imencode(".jpg", picture(1))[1].tobytes()
    (root / "images/train/train1.png").write_bytes(jpeg[: len(jpeg) // 2])


def _labelled(text: str) -> Callable[[Path], None]:
    def label(root: Path) -> None:
        write_labels(root, "train", 1, _SHORT + text)

    return label


def _copy_into_val(root: Path) -> None:
    image = cv2.cvtColor(picture(1), cv2.COLOR_BGR2GRAY)
    cv2.imwrite(str(root / "images/val/val1.png"), cv2.resize(image, (WIDTH * 2, HEIGHT * 2)))


def _copy_within_train(root: Path) -> None:
    cv2.imwrite(str(root / "images/train/train2.png"), picture(1)[:, ::-1])


def _no_val(root: Path) -> None:
    (root / "data.yaml").write_text("names: [short]\ntest: images/train\n")


def _second_class(root: Path) -> None:
    (root / "data.yaml").write_text((root / "data.yaml").read_text().replace("- short", "- short\n- spur"))
    write_labels(root, "train", 1, "1 0.5 0.5 0.25 0.25\n")


def _unknown_class(root: Path) -> None:
    (root / "data.yaml").write_text((root / "data.yaml").read_text().replace("- short", "- short\n- missing_hole"))
    write_labels(root, "train", 1, _SHORT + "1 0.2 0.2 0.25 0.25\n")


_IMAGE, _LINE = "images/train/train1.png", "labels/train/train1.txt:2"


@pytest.mark.parametrize(
    ("spoil", "kind", "where"),
    [
        (_remove_labels, Kind.NO_LABELS, _IMAGE),
        (_remove_image, Kind.NO_IMAGE, "labels/train/train1.txt"),
        (_spoil_image, Kind.BAD_IMAGE, _IMAGE),
        (_empty_image, Kind.BAD_IMAGE, _IMAGE),
        (_cut_image_short, Kind.BAD_IMAGE, _IMAGE),
        (_labelled("what is this"), Kind.BAD_LABEL, _LINE),
        (_labelled("1 0.2 0.2 0.1 0.1"), Kind.CLASS_INDEX, _LINE),
        (_labelled("0 nan 0.2 0.1 0.1"), Kind.NOT_A_NUMBER, _LINE),
        (_labelled("0 0.2 inf 0.1 0.1"), Kind.NOT_A_NUMBER, _LINE),
        (_labelled("0 0.2 0.2 0 0.1"), Kind.EMPTY_BOX, _LINE),
        (_labelled("0 0.2 0.2 0.1 -0.1"), Kind.EMPTY_BOX, _LINE),
        (_labelled("0 0.02 0.2 0.1 0.1"), Kind.OUTSIDE, _LINE),
        (_labelled("0 48 32 10 10"), Kind.OUTSIDE, _LINE),
        (_labelled("0 -0.004 0.5 0.008 0.2"), Kind.OUTSIDE, _LINE),  # by less than rounding may carry a box
        (_labelled("0 0.2 0.2 0.02 0.1"), Kind.TINY_BOX, _LINE),
        (_labelled(_SHORT), Kind.REPEATED_BOX, _LINE),
        (_unknown_class, Kind.UNKNOWN_CLASS, _LINE),
        (_copy_into_val, Kind.LEAK, "train: images/train/train1.png"),
        (_copy_within_train, Kind.TWIN, "train: images/train/train1.png"),
        (_second_class, Kind.ABSENT_CLASS, "val"),
    ],
)
def test_each_check_fires_alone(clean: Path, spoil: Callable[[Path], None], kind: Kind, where: str) -> None:
    spoil(clean)
    examined = _examine(clean)
    assert _problems(examined) == [(kind, where)]
    assert examined.is_sound == (kind.level is not Level.ERROR)


def test_all_findings_are_listed_at_once(clean: Path) -> None:
    _remove_labels(clean)
    write_labels(clean, "train", 2, "0 nan 0.2 0.1 0.1\n0 0.2 0.2 0 0\n9 0.2 0.2 0.1 0.1\n")
    found = {kind for kind, _ in _problems(_examine(clean))}
    assert found == {Kind.NO_LABELS, Kind.NOT_A_NUMBER, Kind.EMPTY_BOX, Kind.CLASS_INDEX}


def test_parts_to_train_and_to_validate_on_are_needed(clean: Path) -> None:
    _no_val(clean)
    assert {(Kind.EMPTY_PART, "train"), (Kind.EMPTY_PART, "val")} <= set(_problems(_examine(clean)))


def test_rounding_over_the_edge_is_cut(clean: Path) -> None:
    write_labels(clean, "train", 1, "0 0.1 0.1 0.21 0.21\n")
    examined = _examine(clean)
    assert not _problems(examined)
    assert np.allclose(examined.boards[1].boxes, [[0, 0, 0.205 * WIDTH, 0.205 * HEIGHT]])


def test_labels_made_on_another_size_are_named(tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / f"{number}.png", number)
        size = (
            f"<size><width>{WIDTH if number else HEIGHT}</width><height>{HEIGHT if number else WIDTH}</height></size>"
        )
        (tmp_path / f"{number}.xml").write_text(f"<annotation>{size}</annotation>")
    assert _problems(_examine(tmp_path)) == [(Kind.OTHER_SIZE, "0.png")]


@pytest.mark.parametrize(("unlabelled", "boards"), [("good", 7), ("skip", 6)])
def test_images_without_labels_can_be_declared(clean: Path, unlabelled: str, boards: int) -> None:
    _remove_labels(clean)
    examined = _examine(clean, ExamineSettings(unlabelled=unlabelled))  # type: ignore[arg-type]
    assert examined.is_sound
    assert len(examined.boards) == boards


def test_a_group_in_two_parts_is_a_leak(clean: Path) -> None:
    for path in [*clean.rglob("train3.*"), *clean.rglob("val1.*")]:
        path.rename(path.with_stem(f"{path.stem}-SN7"))
    examined = _examine(clean, ExamineSettings(group=r"(SN\d+)"))
    assert _problems(examined) == [(Kind.GROUP_LEAK, "SN7")]
    again = _examine(clean, ExamineSettings(group=r"(SN\d+)", split=SplitSettings(afresh=True)))
    assert again.is_sound
    assert len({part for board, part in zip(again.boards, again.parts, strict=True) if board.entry.group}) == 1


@pytest.mark.parametrize("pattern", ["SN", "(SN"])
def test_a_pattern_that_names_no_group_is_refused(clean: Path, pattern: str) -> None:
    with pytest.raises(DatasetError, match="--group"):
        _examine(clean, ExamineSettings(group=pattern))


def test_classes_can_be_named_and_left_out(clean: Path) -> None:
    _unknown_class(clean)
    named = _examine(clean, ExamineSettings(class_map={"missing_hole": "damaged_pad"}))
    assert named.is_sound
    assert named.class_names == ("short", "damaged_pad")
    assert named.boards[1].classes == ("short", "damaged_pad")
    without = _examine(clean, ExamineSettings(class_map={"missing_hole": ""}))
    assert without.class_names == ("short",)
    assert _problems(without) == [(Kind.LEFT_OUT, "missing_hole")]


def test_a_board_whose_only_defect_is_left_out_is_no_good_board(clean: Path) -> None:
    _unknown_class(clean)
    write_labels(clean, "train", 1, "1 0.2 0.2 0.25 0.25\n")
    examined = _examine(clean, ExamineSettings(class_map={"missing_hole": ""}))
    assert len(examined.boards) == 6
    assert (Kind.LEFT_OUT, _IMAGE) in _problems(examined)
