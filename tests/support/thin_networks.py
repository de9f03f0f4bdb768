"""Detection models of Ultralytics with a sixteenth of their channels: the same layers, quick to train and to run."""

from __future__ import annotations

from pathlib import Path

import yaml

from training.network import ultralytics_module


def thin(architecture: str, folder: Path) -> str:
    """Writes the description of a thin `yolov8n`, `yolo11n`, `yolov8n-p2`, … into the folder; returns its path."""
    description = ultralytics_module("nn.tasks").yaml_model_load(f"{architecture}.yaml")
    depth, _, most = description["scales"][description["scale"]]
    description["scales"] = {"n": [min(depth, 0.5), 0.0625, most]}
    path = folder / f"{architecture.split('-', maxsplit=1)[0][:-1]}n-thin.yaml"
    path.write_text(yaml.safe_dump(description))
    return str(path)
