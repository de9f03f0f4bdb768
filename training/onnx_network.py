"""Runs an exported detector with OpenVINO, as the product does on a CPU."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from training.boxes import Image
from training.evaluation.decode import to_blob


class OnnxNetwork:
    """A YOLO network in an ONNX file: an image in, grey or BGR, (4 + classes, anchors) out.

    Raises FileNotFoundError for a missing file and ValueError for one without class names.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"no model file {path}")
        model = openvino.Core().read_model(path)
        self.class_names = _class_names(model, path)
        self._compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def __call__(self, image: Image) -> npt.NDArray[np.float32]:
        return np.asarray(self._compiled(to_blob(image))[0][0])


def _class_names(model: Any, path: Path) -> tuple[str, ...]:
    """The names that Ultralytics' export keeps in the file's metadata."""
    if not model.has_rt_info(["framework", "names"]):
        raise ValueError(f"{path} names no classes in its metadata")
    names = ast.literal_eval(model.get_rt_info(["framework", "names"]).value)
    return tuple(names[index] for index in sorted(names))
