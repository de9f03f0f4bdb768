"""The check of exports: what is equal passes, what is damaged does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from support.thin_networks import thin

from inference_subscriber.engines.letterbox import fit
from training.__main__ import main
from training.errors import ParityError
from training.export import export_onnx
from training.exporting.check import check_parity, pictures_for
from training.exporting.command import Target, export_checked
from training.exporting.parity import Output, Tolerance, compare
from training.network import build_network, load_weights, save_weights

STARTER = Path(__file__).parents[2] / "models" / "starter" / "boardline-starter.pt"
PICTURES = pictures_for([], 3)
NAMES = ("short", "spur")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exported") / "starter.onnx"
    export_onnx(STARTER, target)
    return target


def _output(*anchors: tuple[float, float, float, float, float, float]) -> Output:
    """Each centre x, y, width, height, and the scores of the two classes."""
    return Output("board", fit(640, 480, 640), np.array(anchors, np.float32).T)


def test_equal_outputs_hold() -> None:
    both = _output((100, 100, 20, 20, 0.9, 0), (300, 200, 30, 10, 0, 0.4))
    parity = compare([both], [both], NAMES, Tolerance())
    assert parity.holds
    assert (parity.detections, parity.borderline, parity.worst_box_px) == (2, 0, 0)


@pytest.mark.parametrize(
    "other",
    [
        (101.2, 100, 20, 20, 0.9, 0),
        (100, 100, 20, 22.4, 0.9, 0),
        (100, 100, 20, 20, 0.87, 0),
        (100, 100, 20, 20, 0, 0.9),
        (100, 100, 20, 20, 0, 0),
    ],
    ids=["moved", "larger", "less sure", "another class", "missing"],
)
def test_a_difference_beyond_the_tolerance_is_found_from_both_sides(other: tuple[float, ...]) -> None:
    one, changed = _output((100, 100, 20, 20, 0.9, 0)), _output(other)  # type: ignore[arg-type]
    assert not compare([one], [changed], NAMES, Tolerance()).holds
    assert compare([changed], [one], NAMES, Tolerance()).deviations


def test_what_stands_at_the_floor_is_borderline() -> None:
    above, below = _output((100, 100, 20, 20, 0.255, 0)), _output((100, 100, 20, 20, 0.245, 0))
    parity = compare([above], [below], NAMES, Tolerance())
    assert parity.holds
    assert parity.borderline == 1


def test_suppression_may_choose_the_other_of_two_equals() -> None:
    first = _output((100, 100, 20, 20, 0.801, 0), (104, 100, 20, 20, 0.8, 0))
    second = _output((100, 100, 20, 20, 0.8, 0), (104, 100, 20, 20, 0.801, 0))
    parity = compare([first], [second], NAMES, Tolerance())
    assert parity.holds
    assert parity.borderline == 2


def test_nothing_detected_proves_nothing() -> None:
    blank = _output((100, 100, 20, 20, 0, 0))
    assert not compare([blank], [blank], NAMES, Tolerance()).holds


def test_an_export_of_the_starter_holds(exported: Path) -> None:
    figures = check_parity(STARTER, exported, PICTURES, Tolerance())
    assert all(engine["holds"] and engine["images"] == 3 for engine in figures["engines"].values())
    assert figures["worst_score"] <= 0.02


def test_a_damaged_export_is_caught(exported: Path, tmp_path: Path) -> None:
    """One kernel of the head, a fifth too large."""
    model = onnx.load(str(exported))
    kernels = [t for t in model.graph.initializer if ".cv3" in t.name and len(t.dims) == 4]
    kernels[0].CopyFrom(numpy_helper.from_array(numpy_helper.to_array(kernels[0]) * np.float16(1.2), kernels[0].name))
    onnx.save(model, str(tmp_path / "damaged.onnx"))
    with pytest.raises(ParityError, match="differs from its checkpoint in"):
        check_parity(STARTER, tmp_path / "damaged.onnx", PICTURES, Tolerance())


def test_a_failed_export_leaves_nothing_and_says_what_is_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another network's file in the place of the right one, as a broken exporter would leave it."""
    other = tmp_path / "other.pt"
    save_weights(_shaken(load_weights(STARTER)), other, 320)
    monkeypatch.setattr("training.exporting.command.export_onnx", lambda _, target: export_onnx(other, target))
    out = tmp_path / "models" / "mine"
    arguments = [
        "export",
        "--weights",
        str(STARTER),
        "--out",
        str(out),
        "--parity-images",
        "2",
        "--data",
        str(tmp_path),
    ]
    assert main([*arguments, "--work", str(tmp_path), "--json", str(tmp_path / "parity.json")]) == 1
    printed = capsys.readouterr().out
    assert "not exported" in printed
    assert "px and" in printed
    assert [path for path in (tmp_path / "models").rglob("*") if path.is_file()] == []
    assert not (tmp_path / "parity.json").exists()


@pytest.mark.parametrize("architecture", ["yolo11n", "yolov8n-p2", "yolo26n"])
def test_any_detection_model_can_be_exported(architecture: str, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    save_weights(_shaken(build_network(thin(architecture, tmp_path), NAMES)), weights, 320)
    figures = export_checked(load_weights(weights), weights, Target(tmp_path / "out", "thin"), PICTURES[:1])
    assert all(engine["holds"] for engine in figures["engines"].values())
    assert load_weights(tmp_path / "out" / "thin.pt").names == dict(enumerate(NAMES))


def test_classes_that_the_taxonomy_does_not_know_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_weights(build_network(thin("yolov8n", tmp_path), ("short", "banana", "apple")), tmp_path / "w.pt", 320)
    out = tmp_path / "out"
    assert main(["export", "--weights", str(tmp_path / "w.pt"), "--out", str(out), "--work", str(tmp_path)]) == 2
    assert "apple, banana" in capsys.readouterr().err
    assert not out.exists()


def test_a_run_without_weights_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--run", "none", "--work", str(tmp_path)]) == 2
    assert f"no weights {tmp_path / 'none' / 'weights.pt'}: name a trained run" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 half a file"])
def test_a_file_that_is_no_checkpoint_is_named(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    assert main(["export", "--weights", str(tmp_path / "w.pt"), "--work", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "w.pt is not an Ultralytics checkpoint" in error
    assert error.count("\n") == 1


def _shaken(network: Any) -> Any:
    """With weights in the head that make it say something of its own of each place."""
    torch.manual_seed(1)
    for name, parameter in network.model[-1].named_parameters():
        if parameter.ndim > 1 and "dfl" not in name:
            torch.nn.init.normal_(parameter, 0, 0.2)
    return network.eval()
