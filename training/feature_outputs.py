"""Makes the feature maps of a detector outputs of its ONNX file, for the anomaly score."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import helper

from inference_subscriber.engines.feature_layers import find_feature_layers
from inference_subscriber.engines.features import output_name
from training.network import load_weights


def add_feature_outputs(model: onnx.ModelProto, weights: Path) -> None:
    """Append `features_8` and `features_16` to the outputs of the file that Ultralytics wrote for `weights`.

    Raises:
        ValueError: the file does not hold the layer under its name.
    """
    _append_outputs(model.graph, find_feature_layers(load_weights(weights)))


def _append_outputs(graph: onnx.GraphProto, layers: Mapping[int, int]) -> None:
    for stride, index in layers.items():
        name = output_name(stride)
        graph.node.append(helper.make_node("Identity", [_output_of(graph, index)], [name]))
        shape = ("batch", None, f"height_{stride}", f"width_{stride}")
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))


def _output_of(graph: onnx.GraphProto, layer: int) -> str:
    """The tensor that layers after this one take: the last that its nodes give."""
    given = [name for node in graph.node if node.name.startswith(f"/model.{layer}/") for name in node.output]
    if not given:
        raise ValueError(f"the exported file has no layer {layer}: the exporter names its nodes otherwise")
    return str(given[-1])
