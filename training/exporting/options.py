"""The options of `export`; what it starts is imported when it is needed, for it brings PyTorch."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Without any: the best weights of the run in the work folder, into models/<its name>."""
    parser.add_argument("--run", default="run", help="folder of the run in the work folder (default: %(default)s)")
    parser.add_argument("--weights", type=Path, help="any Ultralytics detection checkpoint, instead of a run's")
    parser.add_argument("--out", type=Path, help="model folder (default: models/<name of the run>)")
    parser.add_argument("--name", help="of the files (default: the folder's)")
    parser.add_argument("--parity-images", type=int, default=50, help="compared with the checkpoint (default: 50)")
    parser.add_argument(
        "--json", type=Path, help="the check's figures, for the card (default: var/evaluate/parity.json)"
    )
    parser.add_argument("--machine", default="an unnamed machine", help="what it was trained on, for the card")
    parser.add_argument("--notes", default="", help="a remark on the training, for the card")


def export(options: argparse.Namespace, console: Console) -> int:
    """See `training.exporting.command`."""
    from training.exporting import command

    return command.export(options, console)


def add_quantize_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=Path, default=Path("models/starter/boardline-starter.onnx"), help="default: %(default)s"
    )
    parser.add_argument("--out", type=Path, help="file to write, .xml (default: var/quantized/<model>-int8.xml)")


def quantize(options: argparse.Namespace, console: Console) -> int:
    """Raises DatasetError where NNCF is missing."""
    from training.datasets.build import locate, place_for
    from training.datasets.errors import DatasetError
    from training.datasets.form import TRAIN, read_dataset
    from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
    from training.exporting.quantize import calibration_images, file_sizes, unusable
    from training.exporting.quantize import quantize as make

    if not options.model.is_file():
        raise FileNotFoundError(f"no model file {options.model}")
    if reason := unusable():
        raise DatasetError(reason)
    out = options.out or Path("var/quantized") / f"{options.model.stem}-int8.xml"
    groups = options.held_out or HELD_OUT_GROUPS
    root = locate(options.data, place_for(options.data, options.work, groups), groups)
    dataset = read_dataset(root, TRAIN)
    make(options.model, calibration_images(dataset), out)
    console.print(f"written: {out} and its .bin, {file_sizes(out):,} bytes", soft_wrap=True)
    return 0
