"""Reads the checkpoints of a training run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from training.errors import TrainingError

_KEYS = {"seen", "seconds", "updates", "network", "average", "optimizer", "class_names"}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What `Trainer.save` wrote. Raises FileNotFoundError, and TrainingError when the file is damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = _KEYS - state.keys()
    except FileNotFoundError:
        raise FileNotFoundError(f"no training to go on with: {path} is missing") from None
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, AttributeError) as error:
        raise TrainingError(f"{path} is damaged ({type(error).__name__}): start anew without --resume") from None
    if missing:
        raise TrainingError(f"{path} is no checkpoint of a training: {', '.join(sorted(missing))} missing")
    return state
