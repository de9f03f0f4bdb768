"""From twenty pictures of one's own boards to a detector that the line opens, by the commands themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch
from rich.console import Console
from support.own_boards import CLASSES, write_own_boards
from support.thin_networks import thin

from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import DetectOptions, Placement
from training.__main__ import main
from training.errors import TrainingError
from training.network import load_weights
from training.runs.folder import Run
from training.runs.plan import Wish
from training.runs.record import add_round, best_score, read_rounds, read_settings
from training.train import _Session, train

pytestmark = pytest.mark.timeout(180)  # whole runs, on a machine that may be busy
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_boards(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def work(boards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    assert main([*_train(boards, folder), "--crops", "4"]) == 0
    return folder


def _train(boards: Path, work: Path) -> list[str]:
    architecture = thin("yolov8n", boards)
    shared = ["--architecture", architecture, "--batch-size", "2", "--threads", "1"]
    return ["train", "--data", str(boards), "--work", str(work), *shared]


def test_the_folder_of_a_run_holds_weights_plots_and_a_page(work: Path) -> None:
    run = Run(work / "run")
    page = run.report.read_text()
    assert "What to do next" in page
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://matplotlib.org", "").replace(
        "http://purl.org", ""
    ).replace("http://creativecommons.org", "")
    assert {"confusion.svg", "precision_recall.svg", "loss.svg", "scores.svg"} <= {p.name for p in run.plots.iterdir()}
    assert run.best.is_file()
    assert run.weights.is_file()
    settings = read_settings(run)
    assert settings is not None
    assert (settings.images, settings.held_out_images) == (16, 4)
    assert settings.defects == dict.fromkeys(CLASSES, 11)


def test_its_export_is_checked_and_opens_on_the_line(work: Path, boards: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "mine", tmp_path / "parity.json"
    shared = ["export", "--data", str(boards), "--work", str(work), "--parity-images", "4"]
    assert main([*shared, "--out", str(out), "--json", str(figures)]) == 0
    parity = json.loads(figures.read_text())["figures"]
    assert set(parity["engines"]) == {"OpenVINO FP32", "ONNX Runtime FP32"}
    assert parity["worst_box_px"] <= 1
    assert {path.name for path in out.iterdir()} >= {"mine.onnx", "mine.pt", "card.json"}
    engine = open_engine(out / "mine.onnx", Placement("cpu", threads=1), DetectOptions())
    assert set(CLASSES) <= set(engine.names)
    image = cv2.imread(str(next((boards / "images" / "val").iterdir())))
    assert len(engine.detect([image])) == 1


def test_a_second_run_keeps_the_first(boards: Path, tmp_path: Path) -> None:
    run, wish = Run(tmp_path / "mine"), _wish(boards)
    assert train(boards, run, wish, Console())
    first = run.weights.read_bytes()
    assert train(boards, run, replace(wish, start="none"), Console())
    (kept,) = (path for path in tmp_path.iterdir() if path.name.startswith("mine-"))
    assert (kept / "weights.pt").read_bytes() == first
    assert run.weights.read_bytes() != first


def test_a_resumed_run_keeps_what_it_was_begun_with(work: Path, boards: Path) -> None:
    run = Run(work / "run")
    begun = read_settings(run)
    assert begun is not None
    assert train(boards, run, Wish(resume=True, crops=8, threads=1), Console())
    assert read_settings(run) == replace(begun, crops=8)
    assert [entry["seen"] for entry in read_rounds(run.log)] == [2, 4, 6, 8]


def test_a_finished_run_goes_on_for_the_time_there_is(work: Path, boards: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "run", tmp_path / "run")
    run = Run(tmp_path / "run")
    before = read_rounds(run.log)[-1]["seen"]
    assert train(boards, run, Wish(resume=True, seconds=0.5, threads=1), Console())
    assert read_rounds(run.log)[-1]["seen"] > before


def test_a_run_is_not_resumed_on_classes_that_it_does_not_know(tmp_path: Path) -> None:
    boards, run = write_own_boards(tmp_path / "own", trained=2, val=1), Run(tmp_path / "run")
    assert train(boards, run, replace(_wish(boards), start="none"), Console())
    description = (boards / "data.yaml").read_text().replace(CLASSES[0], "cold_joint")
    (boards / "data.yaml").write_text(description)
    with pytest.raises(TrainingError, match="knows no cold_joint: start anew"):
        train(boards, run, Wish(resume=True, crops=4, threads=1), Console())


def test_pictures_of_any_size_are_learnt_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boards = write_own_boards(tmp_path / "own", trained=2, val=1)
    for path in (boards / "images").rglob("*.*"):
        cv2.imwrite(str(path), cv2.resize(cv2.imread(str(path)), (1000, 750)))
    assert main([*_train(boards, tmp_path), "--crops", "2"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "unless inference.max_input is 1000: then give evaluate and calibrate --max-input 1000" in said


def test_what_a_crashed_run_left_is_set_aside_too(tmp_path: Path) -> None:
    run = Run(tmp_path / "mine")
    run.folder.mkdir()
    add_round(run.log, {"seen": 0, "best": True, "held_out": {"map50_95": 0.9}})
    run.best.touch()
    kept = run.set_aside()
    assert kept is not None
    assert (kept / "rounds.jsonl").is_file()
    assert best_score(run) == -1
    assert run.set_aside() is None


def test_a_run_that_ends_worse_than_it_began_keeps_what_it_began_with(
    boards: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, run = Run(work / "run").weights, Run(tmp_path / "more")
    scores = iter((0.6, 0.4))
    held_out = {"images": 1, "map50": 0.5}
    monkeypatch.setattr(_Session, "_score", lambda self: held_out | {"map50_95": next(scores)})
    assert train(boards, run, replace(_wish(boards), start=str(start)), Console())
    assert [(entry["seen"], entry.get("best")) for entry in read_rounds(run.log)] == [(0, True), (2, False)]
    kernel = "model.0.conv.weight"
    assert load_weights(run.best).state_dict()[kernel].equal(load_weights(start).state_dict()[kernel])


def _wish(boards: Path) -> Wish:
    return Wish(architecture=thin("yolov8n", boards), crops=2, batch_size=2, threads=1)


def test_ctrl_c_keeps_what_was_learned(boards: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "training", *_train(boards, tmp_path), "--crops", "40000"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "on this machine" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        assert process.wait(30) == 130
    assert "--resume goes on" in rest
    run = Run(tmp_path / "run")
    assert torch.load(run.checkpoint, weights_only=True)["seen"] >= 2
    assert run.weights.is_file()
    assert not list(run.folder.glob("*.partial"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "checkpoint.pt is missing"),
        (["--time", "soon"], "--time: 'soon' is no time"),
        (["--crops", "0"], "--crops: 0 is less than 1"),
        (["--seed", "-1"], "--seed: -1 is less than 0"),
        (["--architecture", "yolov99.yaml"], "knows no model yolov99.yaml"),
        (["--architecture", "yolov8n-seg.yaml", "--start", "none"], "ends in Segment"),
        (["--start", "nothing.pt"], "nothing.pt"),
        (["--device", "cuda:77"], "--device: PyTorch cannot use cuda:77"),
    ],
)
def test_wrong_options_are_one_line_and_status_two(
    boards: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*_train(boards, tmp_path), "--crops", "4", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_named(work: Path, boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = work / "damaged"
    damaged.mkdir()
    whole = (work / "run" / "checkpoint.pt").read_bytes()
    (damaged / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    assert main([*_train(boards, work), "--name", "damaged", "--resume"]) == 2
    assert "damaged/checkpoint.pt is damaged" in capsys.readouterr().err


def test_two_trainings_do_not_share_a_folder(work: Path, boards: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Run(work / "run").claimed():
        assert main([*_train(boards, work), "--crops", "4"]) == 2
    assert "a training runs in it already" in capsys.readouterr().err


@pytest.mark.parametrize(("part", "message"), [("train", "to learn from"), ("val", "in val, so no weights")])
def test_a_part_without_a_defect_is_not_trained_with(
    tmp_path: Path, part: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    boards = write_own_boards(tmp_path / "own", trained=2, val=1)
    for path in (boards / "labels" / part).iterdir():
        path.write_text("")
    assert main(_train(boards, tmp_path)) == 2
    assert f"not one labelled defect {message}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_dataset_with_errors_is_not_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write_own_boards(tmp_path / "bad", trained=2, val=1)
    label = next((bad / "labels" / "train").iterdir())
    label.write_text("9 0.5 0.5 0.1 0.1\n")
    assert main([*_train(bad, tmp_path / "work"), "--crops", "4"]) == 2
    assert label.name in capsys.readouterr().err
    assert not (tmp_path / "work" / "run").exists()
