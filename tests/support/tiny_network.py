"""A detector of two layers that finds nothing and hands over feature maps: as quick as a model file can be."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_CHANNELS = {8: 24, 16: 32}


def write_tiny_network(path: Path) -> Path:
    """An ONNX file with the outputs of an exported detector of one class, `short`."""
    rng = np.random.default_rng(1)
    weights = {
        "first": rng.normal(0, 0.2, (_CHANNELS[8], 3, 8, 8)),
        "second": rng.normal(0, 0.2, (_CHANNELS[16], _CHANNELS[8], 2, 2)),
        "head": np.zeros((5, _CHANNELS[16], 1, 1)),
    }
    nodes = [
        helper.make_node("Conv", ["images", "first"], ["edges"], strides=[8, 8]),
        helper.make_node("Relu", ["edges"], ["features_8"]),
        helper.make_node("Conv", ["features_8", "second"], ["features_16"], strides=[2, 2]),
        helper.make_node("Conv", ["features_16", "head"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "flat"], ["output0"]),
    ]
    shapes: dict[str, list[str | int]] = {"output0": ["batch", 5, "anchors"]}
    shapes |= {f"features_{s}": ["batch", count, f"rows_{s}", f"columns_{s}"] for s, count in _CHANNELS.items()}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
        + [numpy_helper.from_array(np.array([0, 5, -1]), "flat")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"names": "{0: 'short'}", "task": "detect", "stride": "32"})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
