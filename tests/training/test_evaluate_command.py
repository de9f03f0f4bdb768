"""`evaluate`, `calibrate`, `time` and `card`, with the starter's weights in a folder of their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from inference_subscriber.engines import digest
from inference_subscriber.engines.openvino_engine import OpenVinoEngine
from training.__main__ import main
from training.evaluation.card import RunRecord, new_card, read_card, write_card
from training.evaluation.pictures import DrawnSet, drawn_pictures
from training.evaluation.result import Result, write_result

ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder in an empty working folder that has the line's taxonomy."""
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "own.onnx"
    shutil.copyfile(ROOT / "models" / "starter" / "boardline-starter.onnx", path)
    (tmp_path / "config").mkdir()
    shutil.copyfile(ROOT / "config" / "pcb_defects.yaml", tmp_path / "config" / "pcb_defects.yaml")
    write_card(
        folder,
        new_card(RunRecord(8, 1.0), [path], read_card(ROOT / "models" / "starter")["classes"], "a machine", "A test."),
    )
    monkeypatch.chdir(tmp_path)
    return path


def run(model: Path, *words: str) -> int:
    """On one thread: beside other work, two wait for each other."""
    threads = [] if words[0] == "card" else ["--threads", "1"]
    return main([words[0], "--model", str(model.relative_to(Path.cwd())), *words[1:], *threads])


def result(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path("var/evaluate", f"{name}.json").read_text())
    return read


def test_deeppcb_by_three_protocols_with_and_without_templates(
    model: Path, shared_deeppcb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, "evaluate", "--data", str(shared_deeppcb), "--reference", "templates") == 0
    written = result("deeppcb-held_out")
    figures = written["figures"]
    assert written["model_sha256"] == digest(model)
    begin = "python -m training evaluate --model model/own.onnx --data …/deeppcb --reference templates"
    assert written["command"].startswith(begin)
    assert figures["images"] == 1
    assert 0.5 < figures["coco"]["map50"] <= 1
    assert figures["deeppcb"]["best"]["f_score"] >= figures["deeppcb"]["chosen"]["f_score"]
    assert figures["factory"]["verdict"]["escapes"]["of"] == 1
    assert figures["with_templates"]["deeppcb"]["best"]["precision"] >= figures["deeppcb"]["best"]["precision"]
    assert set(figures["thresholds"].values()) == {0.5}
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("mAP50-95", "F-score", "factory, verdict", "confusion"))


def test_the_published_test_list_is_a_part_like_any_other(model: Path, deeppcb: Path) -> None:
    lines = (deeppcb / "PCBData" / "trainval.txt").read_text().splitlines()
    (deeppcb / "PCBData" / "test.txt").write_text(lines[1] + "\n")
    (deeppcb / "PCBData" / "trainval.txt").write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    assert run(model, "evaluate", "--data", str(deeppcb), "--split", "test", "--format", "deeppcb") == 0
    assert result("deeppcb-test")["figures"]["images"] == 1
    (deeppcb / "PCBData" / "trainval.txt").unlink()
    assert run(model, "evaluate", "--data", str(deeppcb), "--split", "test") == 0


def test_sides_of_one_board_are_judged_together(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "own"
    for folder in ("images/train", "images/val", "labels/train", "labels/val"):
        (data / folder).mkdir(parents=True)
    (data / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [short]\n")
    for part, name in (("train", "a_left"), ("val", "b_left"), ("val", "b_right"), ("val", "c")):
        write_board(data, part, name)
    assert run(model, "evaluate", "--data", str(data), "--split", "val", "--sides", "left,right", "--name", "mine") == 0
    figures = result("mine")["figures"]
    assert (figures["images"], figures["boards"]) == (3, 2)


def write_board(data: Path, part: str, name: str) -> None:
    (picture,) = drawn_pictures(DrawnSet("bare", 1, 11_000 + len(name)))
    cv2.imwrite(str(data / "images" / part / f"{name}.png"), picture.sample.image)
    (data / "labels" / part / f"{name}.txt").write_text("0 0.5 0.5 0.1 0.1\n")


@pytest.mark.parametrize("look", ["assembled", "bare"])
def test_drawn_boards_are_half_good_and_always_the_same(look: str) -> None:
    chosen = DrawnSet(look, boards=4, designs=2)
    first, again = list(drawn_pictures(chosen)), list(drawn_pictures(chosen))
    assert [bool(picture.sample.classes) for picture in first] == [True, False, True, False]
    assert all((a.sample.image == b.sample.image).all() for a, b in zip(first, again, strict=True))
    assert [p.sample.classes for p in first] == [p.sample.classes for p in again]


def test_classes_that_the_model_lacks_count_as_missed(model: Path) -> None:
    assert run(model, "evaluate", "--drawn", "assembled", "--boards", "2", "--designs", "1") == 0
    figures = result("assembled")["figures"]
    assert "missing_component" in figures["classes"]
    assert figures["set"] == "2 drawn assembled boards, designs 11000 to 11000"


def test_calibration_goes_into_the_card(model: Path) -> None:
    assert run(model, "calibrate", "--boards", "4", "--designs", "2") == 0
    card = read_card(model.parent)
    assert tuple(card["calibration"]["thresholds"]) == tuple(card["classes"]) == tuple(card["curves"])
    assert card["calibration"]["sha256"] == digest(model)
    assert card["calibration"]["data"] == "4 drawn assembled boards, designs 10000 to 10001"
    assert "least confidence" in (model.parent / "README.md").read_text()
    assert "mouse_bite" in (model.parent / "pr_curves.svg").read_text()


def test_thresholds_for_bare_boards_are_chosen_on_bare_boards(model: Path) -> None:
    assert run(model, "calibrate", "--drawn", "bare", "--boards", "2") == 0
    assert read_card(model.parent)["calibration"]["data"] == "2 drawn bare boards"


def test_evaluation_confirms_the_card_or_contradicts_it(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = ("evaluate", "--drawn", "bare", "--boards", "2")
    assert run(model, *bare) == 0
    assert run(model, "card") == 0
    assert run(model, *bare) == 0
    assert "0.0000 from the figure of the model card" in capsys.readouterr().out
    card = read_card(model.parent)
    card["results"]["bare"]["figures"]["coco"]["map50"] -= 0.1
    write_card(model.parent, card)
    assert run(model, *bare) == 1


def test_the_time_of_a_frame_reaches_the_card(model: Path) -> None:
    assert run(model, "time", "--frames", "1") == 0
    assert run(model, "card") == 0
    (timing,) = (row for row in read_card(model.parent)["figures"] if row["value"] is not None)
    assert timing["command"] == "python -m training time --model model/own.onnx --frames 1 --threads 1"
    assert timing["reached"] is (timing["value"] <= 15)


def test_results_of_other_weights_stay_out_of_the_card(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Result("timing", "a command", "0" * 64, "a machine", "2026-01-01", {"median_ms": 1.0})
    write_result(other, Path("var/evaluate/timing.json"))
    assert run(model, "card", "--strict") == 1
    assert read_card(model.parent)["results"] == {}
    assert "of other weights, left out: timing" in capsys.readouterr().out


def test_what_the_card_has_of_its_weights_stays_without_the_files(model: Path) -> None:
    written = [Result(name, "…", digest(model), "…", "2026-01-01", {"median_ms": 1.0}) for name in ("timing", "demo")]
    for each in written:
        shutil.rmtree("var", ignore_errors=True)
        write_result(each, Path("var/evaluate") / f"{each.name}.json")
        assert run(model, "card") == 0
    assert set(read_card(model.parent)["results"]) == {"timing", "demo"}


def test_the_figures_of_a_demo_reach_the_card(model: Path) -> None:
    Path("summary.json").write_text(json.dumps({"escape_rate": 0.0, "false_call_rate": 0.05}))
    assert run(model, "card", "--demo", "summary.json", "--demo-command", "make demo BOARDS=6") == 0
    reached = {row["what"].split(": ")[-1]: row["reached"] for row in read_card(model.parent)["figures"]}
    assert (reached["escapes per board"], reached["false calls per board"]) == (True, False)


def test_a_card_of_other_weights_is_not_calibrated(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = read_card(model.parent)
    card["files"]["own.onnx"]["sha256"] = "0" * 64
    write_card(model.parent, card)
    assert run(model, "calibrate") == 2
    assert "card.json is of other weights than own.onnx" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--drawn", "bare", "--design-seed", "9999"), "--design-seed 9999: designs below 10000 are trained on"),
        (("--drawn", "bare", "--boards", "0"), "--boards, --designs: at least one"),
        (("--data", "nowhere"), "nowhere: no such folder"),
        (("--taxonomy", "none.yaml"), "none.yaml: cannot be read: No such file"),
        (("--confidence", "50"), "--confidence 50: none of 0 to 1"),
        (("--drawn", "bare", "--boards", "1", "--reference", "templates"), "no picture with a template"),
    ],
)
def test_wrong_options_are_named(
    model: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, "evaluate", *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_part_that_is_not_there_is_named_with_those_that_are(
    model: Path, shared_deeppcb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, "evaluate", "--data", str(shared_deeppcb), "--split", "val") == 2
    assert "--split val:" in (error := capsys.readouterr().err)
    assert "held_out, train; `all` takes every image" in error


def test_a_model_whose_classes_the_taxonomy_lacks_is_refused(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taxonomy = yaml.safe_load(Path("config/pcb_defects.yaml").read_text())
    del taxonomy["copper"], taxonomy["classes"]["spur"]
    Path("less.yaml").write_text(yaml.safe_dump(taxonomy, allow_unicode=True))
    assert run(model, "evaluate", "--drawn", "bare", "--boards", "2", "--taxonomy", "less.yaml") == 2
    assert "own.onnx: classes unknown to less.yaml: spur" in capsys.readouterr().err


def test_pictures_are_shrunk_as_the_line_is_told_to(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, run_network = set(), OpenVinoEngine.run

    def note(engine: OpenVinoEngine, batch: Any) -> Any:
        seen.add(batch.shape)
        return run_network(engine, batch)

    monkeypatch.setattr(OpenVinoEngine, "run", note)
    for words in (["evaluate"], ["calibrate", "--designs", "1"]):
        assert run(model, *words, "--drawn", "bare", "--boards", "1", "--max-input", "320") == 0
    assert seen == {(1, 256, 320, 3)}


def test_a_template_of_another_size_is_named(model: Path, deeppcb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (deeppcb / "PCBData").glob("group00041/*/*_temp.jpg"):
        cv2.imwrite(str(path), np.zeros((480, 640), np.uint8))
    assert run(model, "evaluate", "--data", str(deeppcb), "--reference", "templates") == 2
    assert "_test: 640x640 pixels, but its template has 640x480" in capsys.readouterr().err


def test_a_card_that_is_none_is_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model.parent / "card.json").write_text("[]")
    assert run(model, "calibrate") == 2
    assert "card.json: no card of a model" in capsys.readouterr().err


def test_labels_with_errors_are_listed(model: Path, deeppcb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (deeppcb / "PCBData").glob("group00041/*/*.txt"):
        path.write_text("1 2 3 4 9\n1 2 3 4\n")
    assert run(model, "evaluate", "--data", str(deeppcb)) == 2
    error = capsys.readouterr().err
    assert "2 errors" in error
    assert "type 9 is none of 1 to 6" in error
