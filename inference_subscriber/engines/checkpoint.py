"""Ultralytics' checkpoints, read without running what stands in them.

A checkpoint is a pickle, and a pickle may call any function there is. Ultralytics can read the layers of PyTorch and
its own alone, and build networks without `eval`; but only if it is told to.
"""

import pickle
import struct
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from pcb_bus.errors import BoardlineError

_FAULTS = (
    OSError, RuntimeError, pickle.UnpicklingError, EOFError, AttributeError, LookupError, TypeError, ValueError,
    AssertionError, struct.error,
)  # fmt: skip


class CheckpointRefused(BoardlineError, ValueError):
    """No checkpoint of a network, or a pickle that asks for more than layers; one line, which names the file."""


def restricted_tasks() -> Any:
    """`ultralytics.nn.tasks`; from now on this process loads and builds nothing but known layers.

    Raises:
        ModuleNotFoundError: Ultralytics is not installed.
        CheckpointRefused: it is too old to do so.
    """
    tasks: Any = import_module("ultralytics.nn.tasks")
    if not hasattr(tasks, "SAFE_LOAD"):
        raise CheckpointRefused("this ultralytics runs whatever stands in a checkpoint: install 8.4.190 or newer")
    tasks.SAFE_LOAD = True
    return tasks


def read_network(path: Path) -> Any:
    """The network of a checkpoint, as it was saved.

    Raises:
        FileNotFoundError, ModuleNotFoundError
        CheckpointRefused: it is no such checkpoint, or a pickle of something else; nothing of it was run.
    """
    tasks = restricted_tasks()
    if not path.exists():  # Ultralytics would look for it elsewhere, in the Internet too
        raise FileNotFoundError(f"no checkpoint {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, of what is refused anyway
            checkpoint, _ = tasks.torch_safe_load(str(path), safe_only=True)
        network = checkpoint.get("ema") or checkpoint["model"]
        if not isinstance(network, tasks.BaseModel):
            raise TypeError(type(network))
    except ModuleNotFoundError:
        raise
    except _FAULTS as error:
        raise CheckpointRefused(_why(path, error)) from None
    return network


def _why(path: Path, error: Exception) -> str:
    try:
        # Whatever is known was told to PyTorch by now.
        strangers = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
    except _FAULTS:
        strangers = []
    if not strangers:
        return f"{path} is not an Ultralytics checkpoint ({type(error).__name__})"
    return (
        f"{path} is refused: it names {', '.join(strangers[:3])}, no layer of PyTorch or Ultralytics, and loading that "
        "could run any program; if it is a layer of your own, export the network to ONNX where it was trained"
    )
