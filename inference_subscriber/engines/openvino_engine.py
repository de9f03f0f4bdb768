"""OpenVINO on the CPU, or on an Intel GPU or NPU. Reads ONNX as Ultralytics exports it, and OpenVINO's own .xml."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from inference_subscriber.engines.base import DetectOptions
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.errors import EngineFault
from pcb_bus.errors import ConfigError
from pcb_bus.messages import ModelRef


class OpenVinoEngine(NetworkEngine):
    """One compiled network of any input size.

    Networks of a fixed size, one for each shape, were no faster here than one of open size (YOLOv8n, two cores, batches
    of 1 and 2 at 640x480 and 640x640: within 5 %), and each would cost 0.2 s when its first frame comes.
    Batches gain nothing on a CPU either, so they stay small, and the first board of a batch does not wait for the last.

    Raises:
        ConfigError: the file or the device cannot be used.
    """

    best_batch = 2

    def __init__(self, path: Path, model: ModelRef, device: str, threads: int | None, options: DetectOptions) -> None:
        core = ov.Core()
        network = _read(core, path)
        super().__init__(_class_names(network, path), model, options)
        self._request = _compile(core, network, device, threads).create_infer_request()

    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        try:
            self._request.infer([batch], share_inputs=True)
        except RuntimeError as error:
            raise EngineFault(_one_line(error)) from error
        output: npt.NDArray[np.float32] = self._request.get_output_tensor(0).data
        return output


def _read(core: Any, path: Path) -> Any:
    try:
        return core.read_model(path)
    except RuntimeError as error:
        raise ConfigError(f"inference.model: cannot read {path}: {_one_line(error)}") from None


def _class_names(network: Any, path: Path) -> tuple[str, ...]:
    for where in (["framework", "names"], ["model_info", "labels"]):
        if network.has_rt_info(where):
            return _parse_names(network.get_rt_info(where).astype(str), path)
    raise ConfigError(f"inference.model: {path} does not name its classes (metadata `names`)")


def _parse_names(text: str, path: Path) -> tuple[str, ...]:
    """Ultralytics writes a dictionary, OpenVINO's own converter the names between spaces."""
    if not text.lstrip().startswith("{"):
        return tuple(text.split())
    try:
        names = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise ConfigError(f"inference.model: {path} has unreadable class names: {text[:80]}") from None
    return tuple(str(names[index]) for index in sorted(names))


def _compile(core: Any, network: Any, device: str, threads: int | None) -> Any:
    properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        properties["INFERENCE_NUM_THREADS"] = threads
    try:
        return core.compile_model(_from_bytes(network), "CPU" if device in {"auto", "cpu"} else device, properties)
    except RuntimeError as error:
        raise ConfigError(f"inference.device: OpenVINO cannot use {device}: {_one_line(error)}") from None


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
