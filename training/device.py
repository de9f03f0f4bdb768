"""Where a training runs."""

from __future__ import annotations

import torch

from inference_subscriber.engines.torch_engine import find_device
from training.errors import TrainingError


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto`: a GPU where PyTorch finds one. Raises TrainingError."""
    try:
        return find_device(name)
    except ValueError as error:
        raise TrainingError(f"--device: {error}") from None


def has_bfloat16(device: torch.device) -> bool:
    """Whether it reckons in bfloat16 faster than in FP32."""
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
