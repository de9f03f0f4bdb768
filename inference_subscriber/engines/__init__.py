"""Detectors: one interface, several engines, chosen by the model's file and the device."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from inference_subscriber.engines.base import DetectOptions, Placement
from inference_subscriber.engines.calibration import CARD, read_calibration
from inference_subscriber.engines.network import NetworkEngine
from pcb_bus.contract.messages import ModelRef
from pcb_bus.errors import ConfigError

EngineType = Callable[[Path, ModelRef, Placement, DetectOptions], NetworkEngine]


def open_engine(path: Path, placement: Placement, options: DetectOptions) -> NetworkEngine:
    """Load a model: `.pt` in PyTorch, `.onnx` and `.xml` in OpenVINO, `.onnx` on device cuda in ONNX Runtime.

    Raises:
        ConfigError: the file or its card is missing, unreadable or no detector, or the device or a package is missing.
    """
    model = model_reference(path)
    if options.calibration is None:
        options = replace(options, calibration=read_calibration(path, model.sha256))
    try:
        engine = _engine_for(path, placement.device)(path, model, placement, options)
    except ModuleNotFoundError as error:
        raise ConfigError(f"inference.model: {path.name} needs the package {error.name}, which is missing") from None
    stray = sorted(set(engine.calibration.thresholds) - set(engine.names))
    if stray:
        card = path.parent / CARD
        raise ConfigError(f"inference.model: {card}: calibration.thresholds: {path.name} lacks {', '.join(stray)}")
    return engine


def _engine_for(path: Path, device: str) -> EngineType:
    # Each brings a heavy library: only the one that is needed is imported.
    if path.suffix == ".pt":
        from inference_subscriber.engines.torch_engine import TorchEngine

        return TorchEngine
    if path.suffix == ".onnx" and (device.startswith("cuda") or find_spec("openvino") is None):
        from inference_subscriber.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine
    from inference_subscriber.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine


def model_reference(path: Path) -> ModelRef:
    """Name and identity of a model file.

    Raises:
        ConfigError: it is no model file, or cannot be read.
    """
    if path.suffix not in {".pt", ".onnx", ".xml"}:
        raise ConfigError(f"inference.model: {path} is none of .onnx, .xml, .pt")
    try:
        return ModelRef(name=path.stem, sha256=digest(path))
    except OSError as error:
        raise ConfigError(f"inference.model: cannot read {path}: {error.strerror}") from None


def digest(path: Path) -> str:
    """SHA-256 of the weights; OpenVINO keeps them in a second file beside the .xml."""
    digest = hashlib.sha256(path.read_bytes())
    if path.suffix == ".xml":
        digest.update(path.with_suffix(".bin").read_bytes())
    return digest.hexdigest()
