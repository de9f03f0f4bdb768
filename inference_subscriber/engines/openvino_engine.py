"""OpenVINO on the CPU, or on an Intel GPU or NPU. Reads ONNX as Ultralytics exports it, and OpenVINO's own .xml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from inference_subscriber.engines.base import DetectOptions, Placement
from inference_subscriber.engines.class_names import no_class_names, parse_class_names
from inference_subscriber.engines.features import output_name
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.errors import EngineFault
from pcb_bus.contract.messages import ModelRef
from pcb_bus.errors import ConfigError


class OpenVinoEngine(NetworkEngine):
    """Networks of fixed size for the frames that a line expects, and one of open size for any other.

    On two busy cores a fixed size is 2 to 12 % faster (medians of YOLOv8n, batches of 1 and 2, 640x480 and 640x640),
    but takes 0.2 s to compile: nothing for a frame to wait for. Batches gain nothing on a CPU, so they stay small, and
    the first board of a batch hardly waits for the last. Threads are not pinned to cores that other services use too.
    Unless `exact`, the CPU reckons in BF16 where it can: twice as fast, scores within 0.03 of FP32.

    Raises:
        ConfigError: the file or the device cannot be used.
    """

    best_batch = 2

    def __init__(self, path: Path, model: ModelRef, placement: Placement, options: DetectOptions) -> None:
        self._core = ov.Core()
        network = _read(self._core, path)
        super().__init__(_class_names(network, path), model, options)
        self.strides = _keep_outputs(network, options.features)
        _reduce_outputs(network, self.strides, options.projections)
        self._network = _from_bytes(network)
        self._device = "CPU" if placement.device in {"auto", "cpu"} else placement.device
        self._properties = _properties(self._device, placement)
        self._any_size = self._compile(self._network)
        self._fixed: dict[tuple[int, ...], Any] = {}
        self._last = self._any_size

    def prepare(self, count: int, height: int, width: int) -> None:
        fixed = self._network.clone()
        fixed.reshape([count, height, width, 3])
        self._fixed[count, height, width] = self._compile(fixed)

    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        request = self._fixed.get(batch.shape[:3], self._any_size)
        try:
            request.infer([batch], share_inputs=True)
        except RuntimeError as error:
            raise EngineFault(_one_line(error)) from error
        self._last = request
        output: npt.NDArray[np.float32] = request.get_output_tensor(0).data
        return output

    def features(self) -> Mapping[int, npt.NDArray[np.float32]]:
        return {stride: self._last.get_output_tensor(index).data for index, stride in enumerate(self.strides, 1)}

    def _compile(self, network: Any) -> Any:
        try:
            return self._core.compile_model(network, self._device, self._properties).create_infer_request()
        except RuntimeError as error:
            raise ConfigError(f"inference.device: OpenVINO cannot use {self._device}: {_one_line(error)}") from None


def _read(core: Any, path: Path) -> Any:
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise ConfigError(f"inference.model: cannot read {path}: {_one_line(error)}") from None


def _class_names(network: Any, path: Path) -> tuple[str, ...]:
    for where in (["framework", "names"], ["model_info", "labels"]):
        if network.has_rt_info(where):
            return parse_class_names(network.get_rt_info(where).astype(str), path)
    raise no_class_names(path)


def _keep_outputs(network: Any, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Drop every output but the first and the feature maps of these strides; gives the strides that are left."""
    by_name = {name: result for result in network.get_results()[1:] for name in result.input(0).get_tensor().names}
    kept = {stride: by_name[output_name(stride)] for stride in strides if output_name(stride) in by_name}
    for result in network.get_results()[1:]:
        if result not in kept.values():
            network.remove_result(result)
    order = [network.get_results().index(result) for result in kept.values()]
    return tuple(stride for _, stride in sorted(zip(order, kept, strict=True)))


def _reduce_outputs(network: Any, strides: tuple[int, ...], projections: Mapping[int, npt.NDArray[np.float32]]) -> None:
    """Project feature maps in the network, so that a quarter of the numbers has to come out of it.

    A map with other channels than its matrix stays: whoever reads it will say so.
    """
    maps = dict(zip(strides, network.get_results()[1:], strict=True))
    for result in maps.values():
        network.remove_result(result)
    for stride, result in maps.items():
        source, matrix = result.input_value(0), projections.get(stride)
        if matrix is not None and source.get_partial_shape()[1] == matrix.shape[1] > matrix.shape[0]:
            kernel = ov.opset13.constant(matrix[:, :, np.newaxis, np.newaxis])
            source = ov.opset13.convolution(source, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
        network.add_results([ov.opset13.result(source)])


def _properties(device: str, placement: Placement) -> dict[str, Any]:
    properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if device == "CPU":
        properties["ENABLE_CPU_PINNING"] = False
    if placement.threads is not None:
        properties["INFERENCE_NUM_THREADS"] = placement.threads
    if placement.exact:
        properties["INFERENCE_PRECISION_HINT"] = "f32"
    return properties


def _from_bytes(network: Any) -> Any:
    """The network with the conversion from blue-green-red bytes to planes of 0 to 1 built in: 4 ms less in Python."""
    steps = ov.preprocess.PrePostProcessor(network)
    image = steps.input()
    image.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    image.tensor().set_color_format(ov.preprocess.ColorFormat.BGR)
    image.model().set_layout(ov.Layout("NCHW"))
    image.preprocess().convert_element_type(ov.Type.f32).convert_color(ov.preprocess.ColorFormat.RGB).scale(255.0)
    return steps.build()


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
