"""Where a training runs."""

from __future__ import annotations

import torch

from training.errors import TrainingError


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto`: a GPU where PyTorch finds one. Raises TrainingError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"--device: PyTorch cannot use {name}: {str(error).splitlines()[0]}") from None
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether it reckons in bfloat16 faster than in FP32."""
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
