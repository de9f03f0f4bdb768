"""PyTorch, for the checkpoints of Ultralytics: FP16 on CUDA unless it must be exact, FP32 on the CPU."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from inference_subscriber.engines.base import DetectOptions, Placement
from inference_subscriber.engines.checkpoint import CheckpointRefused, read_network
from inference_subscriber.engines.feature_layers import find_feature_layers
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.errors import EngineFault
from pcb_bus.contract.messages import ModelRef
from pcb_bus.errors import ConfigError


class TorchEngine(NetworkEngine):
    """Runs the bare network of a checkpoint.

    Raises:
        ConfigError: the file or the device cannot be used.
    """

    def __init__(self, path: Path, model: ModelRef, placement: Placement, options: DetectOptions) -> None:
        self._device = _device(placement.device)
        if placement.threads is not None:
            torch.set_num_threads(placement.threads)
        network = _load(path)
        names = network.names
        super().__init__(tuple(str(names[index]) for index in sorted(names)), model, options)
        on_cuda = self._device.type == "cuda"
        self.best_batch = 64 if on_cuda else 2
        self._dtype = torch.float16 if on_cuda and not placement.exact else torch.float32
        self._network = network.to(self._device, self._dtype).eval()
        self._features: dict[int, npt.NDArray[np.float32]] = {}
        layers = find_feature_layers(self._network) if options.features else {}
        self.strides = tuple(stride for stride in options.features if stride in layers)
        for stride in self.strides:
            self._network.model[layers[stride]].register_forward_hook(self._keeper(stride))

    def prepare(self, count: int, height: int, width: int) -> None:
        """Nothing to do: PyTorch takes any size."""

    @torch.inference_mode()
    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        try:
            pixels = torch.from_numpy(batch).to(self._device)
            planes = pixels.flip(3).permute(0, 3, 1, 2).to(self._dtype).div_(255)
            output = self._network(planes)
            first = output[0] if isinstance(output, tuple | list) else output
            result: npt.NDArray[np.float32] = first.float().cpu().numpy()
        except RuntimeError as error:
            raise EngineFault(str(error).splitlines()[0]) from error
        return result

    def features(self) -> Mapping[int, npt.NDArray[np.float32]]:
        return self._features

    def _keeper(self, stride: int) -> Callable[[Any, Any, torch.Tensor], None]:
        def keep(layer: Any, taken: Any, given: torch.Tensor) -> None:
            self._features[stride] = given.float().cpu().numpy()

        return keep


def find_device(name: str) -> torch.device:
    """The device of that name; `auto`: a GPU where PyTorch finds one. Raises ValueError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"PyTorch cannot use {name}: {str(error).splitlines()[0]}") from None
    return device


def _device(name: str) -> torch.device:
    try:
        return find_device(name)
    except ValueError as error:
        raise ConfigError(f"inference.device: {error}") from None


def _load(path: Path) -> Any:
    try:
        return read_network(path).float().fuse(verbose=False)
    except ModuleNotFoundError as error:
        raise ConfigError(f"inference.model: {path} needs the package {error.name}") from None
    except CheckpointRefused as error:
        raise ConfigError(f"inference.model: {error}") from None
    except (OSError, RuntimeError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"inference.model: {path} is not an Ultralytics checkpoint ({type(error).__name__})"
        ) from None
