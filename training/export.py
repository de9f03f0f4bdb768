"""From a checkpoint to the ONNX file that the product runs."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from training.feature_outputs import add_feature_outputs
from training.network import load_weights, ultralytics_module

_SMALLEST_COMPRESSED = 256  # numbers; below it a cast costs more than it saves


def export_onnx(weights: Path, target: Path) -> None:
    """Write an ONNX file with free batch, height and width, class names in its metadata and FP16 kernels.

    Raises FileNotFoundError, and TrainingError when it is no Ultralytics detection checkpoint.
    """
    load_weights(weights)  # its refusals name the cause and the way out; those of Ultralytics do not
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")  # read by ultralytics at import: it must not install packages
    ultralytics = ultralytics_module("")
    logging.getLogger("ultralytics").setLevel(logging.WARNING)  # its advice on what to do next is not ours
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ultralytics' choice of exporter is its own
        copy = Path(shutil.copyfile(weights, Path(folder) / "network.pt"))
        exported = ultralytics.YOLO(copy).export(
            format="onnx", dynamic=True, simplify=False, imgsz=640, device="cpu", verbose=False
        )
        model = onnx.load(str(exported))
    compress(model.graph)
    add_feature_outputs(model, weights)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def compress(graph: onnx.GraphProto) -> None:
    """Store the large FP32 constants as FP16 with a cast behind each: half the file, the arithmetic stays FP32."""
    casts = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST_COMPRESSED:
            continue
        name, stored = tensor.name, f"{tensor.name}.fp16"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
