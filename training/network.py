"""The Ultralytics network: built from its architecture file, saved and loaded in Ultralytics' own form."""

from __future__ import annotations

from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from training.torchvision_fallback import ensure_torchvision


def build_network(architecture: str, class_names: tuple[str, ...]) -> Any:
    """A fresh DetectionModel for three channels, ready for its own `loss`."""
    network = ultralytics_module("nn.tasks").DetectionModel(architecture, nc=len(class_names), verbose=False)
    network.names = dict(enumerate(class_names))
    network.args = ultralytics_module("cfg").get_cfg()
    return network.to(memory_format=torch.channels_last)


def transfer(network: Any, weights: Path) -> None:
    """Start from the weights of a checkpoint, wherever name and shape agree.

    In the layers that have one row for each class, the classes that both know keep theirs.
    """
    source = load_weights(weights)
    known, state = source.state_dict(), network.state_dict()
    old, new = list(source.names.values()), list(network.names.values())
    shared = [(old.index(name), new.index(name)) for name in new if name in old]
    for name, values in known.items():
        target = state.get(name)
        if target is None or target.shape[1:] != values.shape[1:]:
            continue
        if target.shape == values.shape and (values.ndim == 0 or len(values) != len(old) or old == new):
            state[name] = values
        elif len(values) == len(old) and len(target) == len(new):
            for before, after in shared:
                target[after] = values[before]
    network.load_state_dict(state)


def average_of(network: Any) -> Any:
    """Ultralytics' moving average of the network's weights: `update(network)`, and the result in `ema`.

    Its own time constants are for runs ten times as long: here the average would follow every step.
    """
    return ultralytics_module("utils.torch_utils").ModelEMA(network, decay=0.998, tau=200)


def save_weights(network: Any, path: Path, image_size: int) -> None:
    """Write an FP16 checkpoint that `ultralytics.YOLO(path)` loads."""
    bare = deepcopy(network).half().to(memory_format=torch.contiguous_format)
    bare.criterion = None
    bare.args = {"task": "detect", "imgsz": image_size}
    for parameter in bare.parameters():
        parameter.requires_grad = False
    torch.save({"epoch": -1, "model": bare, "train_args": bare.args, "license": "AGPL-3.0"}, path)


def load_weights(path: Path) -> Any:
    """The network of a checkpoint, FP32, in evaluation mode."""
    ensure_torchvision()
    return torch.load(path, map_location="cpu", weights_only=False)["model"].float().eval()


def ultralytics_module(name: str) -> Any:
    """A module of ultralytics ("" for the package itself), imported with torchvision's operators in place."""
    ensure_torchvision()
    return import_module(f"ultralytics.{name}" if name else "ultralytics")
