"""A run of a few steps, by the commands themselves: from data to a model folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.thin_networks import thin

from inference_subscriber.engines import digest
from simulator.bare_board import draw_board
from training.__main__ import main
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.network import load_weights
from training.onnx_network import OnnxNetwork
from training.train import torch_network

pytestmark = pytest.mark.timeout(180)  # whole runs, on a machine that may be busy


@pytest.fixture(scope="module")
def work(shared_deeppcb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder after a run that was stopped half way and taken up again."""
    folder = tmp_path_factory.mktemp("work")
    shared = ["train", "--data", str(shared_deeppcb), "--work", str(folder), "--round-crops", "4", "--batch-size", "4"]
    assert main([*shared, "--crops", "4", "--architecture", thin("yolov8n", folder)]) == 0
    assert main([*shared, "--crops", "8", "--resume"]) == 0
    return folder


@pytest.fixture(scope="module")
def model(work: Path, shared_deeppcb: Path) -> Path:
    """The model folder exported from that run."""
    out = work / "model"
    shared = ["--data", str(shared_deeppcb), "--work", str(work), "--parity-images", "4"]
    shared += ["--json", str(work / "parity.json")]
    assert main(["export", *shared, "--out", str(out), "--name", "tiny", "--notes", "A test."]) == 0
    return out


def test_a_resumed_run_goes_on_where_it_stopped(work: Path) -> None:
    rounds = [json.loads(line) for line in (work / "run" / "rounds.jsonl").read_text().splitlines()]
    assert [entry["seen"] for entry in rounds] == [4, 8]
    assert all(np.isfinite(entry["loss"]) for entry in rounds)
    assert rounds[-1]["held_out"]["images"] == len(HELD_OUT_GROUPS)


def test_the_exported_network_gives_the_boxes_of_the_checkpoint(model: Path) -> None:
    onnx, checkpoint = OnnxNetwork(model / "tiny.onnx"), torch_network(load_weights(model / "tiny.pt"))
    for width, height in ((640, 480), (640, 640)):
        image = draw_board(1, width, height).image[:, :, 0]
        ours, reference = onnx(image), checkpoint(image)
        assert ours.shape == reference.shape == (15, width * height * 21 // 1024)
        assert np.abs(ours[:4] - reference[:4]).max() < 1
        assert np.abs(ours[4:] - reference[4:]).max() < 0.002


def test_the_card_describes_the_files(model: Path) -> None:
    card = json.loads((model / "card.json").read_text())
    assert set(card["files"]) == {"tiny.onnx", "tiny.pt"}
    for name, file in card["files"].items():
        assert file == {"bytes": (model / name).stat().st_size, "sha256": digest(model / name)}
    assert card["training"]["crops"] == 8
    assert card["data"]["held_out_groups"] == sorted(HELD_OUT_GROUPS)
    assert set(card["results"]) == {"parity"}
    assert "A test." in (model / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "nowhere"], "no such folder"),
        (["evaluate", "--model", "nothing.onnx"], "no model file nothing.onnx"),
        (["export", "--work", "nowhere"], "nowhere/run/weights.pt"),
    ],
)
def test_wrong_input_is_one_line_and_status_two(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_run_that_does_not_exist_cannot_be_resumed(
    shared_deeppcb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", str(shared_deeppcb), "--work", str(tmp_path), "--resume"]) == 2
    assert "checkpoint.pt" in capsys.readouterr().err
