"""`export` of `python -m training`."""

from __future__ import annotations

import argparse
import shutil

from rich.console import Console

from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.evaluation.card import new_card, read_run, write_card


def export(options: argparse.Namespace, console: Console) -> int:
    """The card is new and without figures: `calibrate` and `card` add them."""
    from training.export import export_onnx
    from training.onnx_network import OnnxNetwork

    weights = options.weights or options.work / "run" / "weights.pt"
    options.out.mkdir(parents=True, exist_ok=True)
    onnx, checkpoint = (options.out / f"{options.name}{suffix}" for suffix in (".onnx", ".pt"))
    shutil.copyfile(weights, checkpoint)
    export_onnx(weights, onnx)
    run = read_run(options.work / "run", options.held_out or HELD_OUT_GROUPS)
    names = OnnxNetwork(onnx).class_names
    write_card(options.out, new_card(run, [onnx, checkpoint], names, options.machine, options.notes))
    console.print(f"exported: {onnx}; now `make calibrate`, `make evaluate`", soft_wrap=True)
    return 0
