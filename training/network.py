"""The Ultralytics network: built from its architecture file, saved and loaded in Ultralytics' own form."""

from __future__ import annotations

from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from inference_subscriber.engines.checkpoint import CheckpointRefused, read_network, restricted_tasks
from training.errors import TrainingError
from training.files import written_whole
from training.torchvision_fallback import ensure_torchvision

#: What `--architecture` knows beside Ultralytics' own descriptions.
ARCHITECTURES = Path(__file__).parent / "architectures"

#: Heads whose plain output is boxes and class scores; masks, poses and turned boxes are something else.
_DETECTION_HEADS = {"Detect", "v10Detect"}


def build_network(architecture: str, class_names: tuple[str, ...]) -> Any:
    """A fresh DetectionModel for three channels, ready for its own `loss`.

    Args:
        architecture: the name of a description in `ARCHITECTURES` (boardline-n.yaml), the name or path of one of
            Ultralytics (yolov8n.yaml, yolo11s.yaml, yolov8n-p2.yaml), or a checkpoint (.pt) whose architecture is
            taken without its weights.

    Raises:
        TrainingError: there is no such thing, or it is no detection model.
    """
    description = _description(architecture) | {"nc": len(class_names), "end2end": False}
    try:
        network = ultralytics_module("nn.tasks").DetectionModel(description, verbose=False)
    except (TypeError, LookupError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), "").removeprefix("ERROR ❌️ ")
        raise TrainingError(f"--architecture: {architecture} cannot be built: {reason}") from None
    _refuse_other_heads(network, architecture)
    network.names = dict(enumerate(class_names))
    network.args = ultralytics_module("cfg").get_cfg()
    return network.to(memory_format=torch.channels_last)


def transfer(network: Any, weights: Path) -> tuple[int, int]:
    """Start from a checkpoint's weights, wherever name and shape agree; how many tensors that were, and of how many.

    In the layers that have one row for each class, the classes that both know keep theirs.
    """
    source = load_weights(weights)
    known, state = source.state_dict(), network.state_dict()
    old, new = list(source.names.values()), list(network.names.values())
    shared = [(old.index(name), new.index(name)) for name in new if name in old]
    taken = 0
    for name, values in known.items():
        target = state.get(name)
        if target is None or target.shape[1:] != values.shape[1:]:
            continue
        if target.shape == values.shape and (values.ndim == 0 or len(values) != len(old) or old == new):
            state[name] = values
            taken += 1
        elif len(values) == len(old) and len(target) == len(new):
            for before, after in shared:
                target[after] = values[before]
            taken += bool(shared)
    network.load_state_dict(state)
    return taken, len(state)


def average_of(network: Any) -> Any:
    """Ultralytics' moving average of the network's weights: `update(network)`, and the result in `ema`.

    Its own time constants are for runs ten times as long: here the average would follow every step.
    """
    return ultralytics_module("utils.torch_utils").ModelEMA(network, decay=0.998, tau=200)


def save_weights(network: Any, path: Path, image_size: int) -> None:
    """Write an FP16 checkpoint that `ultralytics.YOLO(path)` loads; a kill while writing leaves the last one whole."""
    bare = deepcopy(network).cpu().half().to(memory_format=torch.contiguous_format)
    bare.criterion = None
    bare.args = {"task": "detect", "imgsz": image_size}
    for parameter in bare.parameters():
        parameter.requires_grad = False
    checkpoint = {"epoch": -1, "model": bare, "train_args": bare.args, "license": "AGPL-3.0"}
    with written_whole(path) as partial:
        torch.save(checkpoint, partial)


def load_weights(path: Path) -> Any:
    """The network of a checkpoint, FP32, in evaluation mode, with an output of boxes and scores for each anchor.

    Raises FileNotFoundError, and TrainingError when it is no Ultralytics detection checkpoint.
    """
    ensure_torchvision()
    try:
        network = read_network(path).float().eval()
        names = network.names
    except CheckpointRefused as error:
        raise TrainingError(str(error)) from None
    except (RuntimeError, AttributeError, TypeError) as error:
        raise TrainingError(f"{path} is not an Ultralytics checkpoint ({type(error).__name__})") from None
    _refuse_other_heads(network, str(path))
    network.names = {index: str(names[index]) for index in sorted(names)}
    network.model[-1].end2end = False  # where a head can also suppress doubles itself, the product does that
    return network


def ultralytics_module(name: str) -> Any:
    """A module of ultralytics ("" for the package itself), with torchvision's operators in place, and restricted."""
    ensure_torchvision()
    try:
        restricted_tasks()
    except CheckpointRefused as error:
        raise TrainingError(str(error)) from None
    return import_module(f"ultralytics.{name}" if name else "ultralytics")


def _description(architecture: str) -> dict[str, Any]:
    if architecture.endswith(".pt"):
        return dict(deepcopy(load_weights(Path(architecture)).yaml))
    own = ARCHITECTURES / architecture
    try:
        description = dict(ultralytics_module("nn.tasks").yaml_model_load(own if own.is_file() else architecture))
    except (FileNotFoundError, OSError, TypeError, ValueError):
        raise TrainingError(f"--architecture: Ultralytics knows no model {architecture}") from None
    if not {"backbone", "head"} <= description.keys():
        raise TrainingError(f"--architecture: {architecture} describes no network")
    return description


def _refuse_other_heads(network: Any, source: str) -> None:
    head = type(network.model[-1]).__name__
    if head not in _DETECTION_HEADS:
        raise TrainingError(f"{source} ends in {head}: not a plain detection model")
