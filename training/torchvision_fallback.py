"""Lets Ultralytics run where torchvision's compiled operators do not load.

Beside a CPU build of torch, the torchvision wheel from PyPI fails at import with "operator torchvision::nms does not
exist". Training needs nothing from it but that import and non-maximum suppression, which Ultralytics brings in pure
torch. Call `ensure_torchvision` before the first import of ultralytics.
"""

from __future__ import annotations

import importlib
import sys

import torch

_MISSING_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def ensure_torchvision() -> bool:
    """Import torchvision, with declared stand-ins for its operators where needed; True when they were needed."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    else:
        return False
    _declare_operators()
    _forget_partial_import()
    torchvision = importlib.import_module("torchvision")
    torchvision.ops.nms = importlib.import_module("ultralytics.utils.nms").TorchNMS.nms
    return True


def _declare_operators() -> None:
    for name in _MISSING_OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            torch.library.define(f"torchvision::{name}", _SIGNATURE)


def _forget_partial_import() -> None:
    for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[module]
