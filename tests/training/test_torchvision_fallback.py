"""Ultralytics runs with and without torchvision's compiled operators."""

from __future__ import annotations

import subprocess
import sys

_SUPPRESS = """
import sys, torch
from training.torchvision_fallback import ensure_torchvision
{before}
needed = ensure_torchvision()
from ultralytics.utils.nms import non_max_suppression
import torchvision
boxes = torch.tensor([[0., 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50]])
print(needed, torchvision.ops.nms(boxes, torch.tensor([.5, .9, .7]), 0.5).tolist())
"""


def run(before: str = "") -> list[str]:
    """A fresh interpreter, for imports happen once."""
    done = subprocess.run(
        [sys.executable, "-c", _SUPPRESS.format(before=before)], capture_output=True, text=True, check=True, timeout=50
    )
    return done.stdout.split(maxsplit=1)


def test_suppression_works_whether_or_not_the_operators_load() -> None:
    needed, kept = run()
    assert needed in {"True", "False"}
    assert kept.strip() == "[1, 2]"


def test_a_second_call_needs_nothing() -> None:
    assert run(before="ensure_torchvision()")[0] == "False"
