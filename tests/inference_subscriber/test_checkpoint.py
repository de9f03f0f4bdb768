"""A checkpoint is somebody's pickle: its network is read, and nothing of it is run."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import DetectOptions, Placement
from inference_subscriber.engines.checkpoint import CheckpointRefused, read_network, restricted_tasks
from pcb_bus.errors import ConfigError
from training.errors import TrainingError
from training.export import export_onnx
from training.network import build_network, load_weights, save_weights, ultralytics_module

DESCRIPTION = {"nc": 1, "backbone": [[-1, 1, "Conv", [8, 3, 2]]], "head": [[[0], 1, "Detect", ["nc"]]]}


class Call:
    """What is pickled as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """What a hostile pickle would leave behind if it ran."""
    return tmp_path / "it-ran"


def evaluated(trace: Path) -> str:
    return f"__import__('pathlib').Path({str(trace)!r}).touch()"


def command(trace: Path) -> Call:
    import os

    return Call(os.system, f"touch '{trace}'")


def hostile(trace: Path) -> dict[str, Any]:
    tasks = restricted_tasks()
    description = DESCRIPTION | {"activation": evaluated(trace)}
    return {
        "a shell": command(trace),
        "eval": Call(eval, evaluated(trace)),
        "an import": Call(getattr, Call(__import__, "os"), "system"),
        "a network with an activation": Call(tasks.DetectionModel, description),
        "a layer that is none": Call(
            tasks.DetectionModel, DESCRIPTION | {"backbone": [[-1, 1, "check_requirements", ["x"]]]}
        ),
    }


@pytest.mark.parametrize(
    "kind", ["a shell", "eval", "an import", "a network with an activation", "a layer that is none"]
)
@pytest.mark.parametrize("place", ["model", "ema", "train_args"])
def test_nothing_of_a_pickle_is_run(kind: str, place: str, trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "모델 best.pt"
    torch.save({"model": None, place: hostile(trace)[kind]}, path)
    with pytest.raises(
        CheckpointRefused, match=r"best\.pt is (refused: it names|not an Ultralytics checkpoint)"
    ) as told:
        read_network(path)
    assert "\n" not in str(told.value)
    assert not trace.exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nor_of_a_bare_pickle(protocol: int, trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(pickle.dumps(command(trace), protocol))
    with pytest.raises(CheckpointRefused):
        read_network(path)
    assert not trace.exists()


def test_every_door_refuses_in_one_line_and_says_the_way_out(trace: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    torch.save({"model": command(trace)}, path)
    refused = r"best\.pt is refused: it names posix\.system, .* could run any program; .* export the network to ONNX"
    with pytest.raises(ConfigError, match=rf"^inference\.model: .*{refused}"):
        open_engine(path, Placement("cpu"), DetectOptions())
    with pytest.raises(TrainingError, match=refused):
        load_weights(path)
    with pytest.raises(TrainingError, match=refused):
        build_network(str(path), ("short",))
    with pytest.raises(TypeError, match="outside the supported"):  # of an export that reads the file once more
        ultralytics_module("").YOLO(path)
    with pytest.raises(TrainingError, match=refused):
        export_onnx(path, tmp_path / "model.onnx")
    assert not trace.exists()


def test_a_description_in_a_checkpoint_is_not_evaluated(trace: Path, tmp_path: Path) -> None:
    network = build_network("yolov8n.yaml", ("short",))
    network.yaml["activation"] = evaluated(trace)
    save_weights(network, tmp_path / "best.pt", 640)
    with pytest.raises(TrainingError, match=r"^--architecture: .*best\.pt cannot be built: unsupported activation"):
        build_network(str(tmp_path / "best.pt"), ("short",))
    assert not trace.exists()


def test_a_network_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    network = build_network("yolov8n.yaml", ("short", "spur"))
    save_weights(copy.deepcopy(network), tmp_path / "best.pt", 640)
    again = read_network(tmp_path / "best.pt")
    assert type(again) is type(network)
    assert again.names == network.names
    for before, after in zip(network.half().state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(before, after)


def test_a_checkpoint_that_is_not_there_is_not_looked_for_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"yolov8n\.pt"):
        read_network(tmp_path / "yolov8n.pt")
