"""ONNX Runtime, where neither OpenVINO nor PyTorch serves: ONNX on a CUDA device without a checkpoint, other CPUs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    RuntimeException,
)

from inference_subscriber.engines.base import DetectOptions, Placement
from inference_subscriber.engines.class_names import no_class_names, parse_class_names
from inference_subscriber.engines.features import output_name
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.errors import EngineFault
from pcb_bus.contract.messages import ModelRef
from pcb_bus.errors import ConfigError

_UNREADABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile, RuntimeException)


class OnnxRuntimeEngine(NetworkEngine):
    """Always FP32, for that is what the file says.

    Raises:
        ConfigError: the file or the device cannot be used.
    """

    def __init__(self, path: Path, model: ModelRef, placement: Placement, options: DetectOptions) -> None:
        provider = _provider(placement.device)
        self._session = _open(path, provider, placement.threads)
        names = self._session.get_modelmeta().custom_metadata_map.get("names")
        if names is None:
            raise no_class_names(path)
        super().__init__(parse_class_names(names, path), model, options)
        self.best_batch = 64 if "CUDA" in str(provider) else 2
        self._input = self._session.get_inputs()[0].name
        given = [each.name for each in self._session.get_outputs()]
        self.strides = tuple(stride for stride in options.features if output_name(stride) in given)
        self._outputs = [given[0], *map(output_name, self.strides)]
        self._features: dict[int, npt.NDArray[np.float32]] = {}

    def prepare(self, count: int, height: int, width: int) -> None:
        """Nothing to do: the file has open sizes."""

    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        planes = batch[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32, order="C") / np.float32(255)
        try:
            output, *features = self._session.run(self._outputs, {self._input: planes})
        except _UNREADABLE as error:
            raise EngineFault(str(error).splitlines()[0]) from error
        self._features = dict(zip(self.strides, features, strict=True))
        boxes: npt.NDArray[np.float32] = output
        return boxes

    def features(self) -> Mapping[int, npt.NDArray[np.float32]]:
        return self._features


def _provider(device: str) -> str | tuple[str, dict[str, str]]:
    if device in {"auto", "cpu"}:
        return "CPUExecutionProvider"
    kind, _, number = device.partition(":")
    if kind != "cuda" or "CUDAExecutionProvider" not in ort.get_available_providers():
        raise ConfigError(f"inference.device: ONNX Runtime cannot use {device} here")
    return "CUDAExecutionProvider", {"device_id": number or "0"}


def _open(path: Path, provider: str | tuple[str, dict[str, str]], threads: int | None) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        return ort.InferenceSession(path, options, providers=[provider])
    except _UNREADABLE as error:
        raise ConfigError(f"inference.model: cannot read {path}: {str(error).splitlines()[0]}") from None
