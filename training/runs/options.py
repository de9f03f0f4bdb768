"""The options of `train` and `report`; what they start is imported when it is needed, for it brings PyTorch."""

from __future__ import annotations

import argparse
import os

from rich.console import Console


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """What is left out takes its usual value, or that of the run that is resumed."""
    add_name(parser)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the run")
    parser.add_argument("--time", help="length of the run as time: 45m, 2h; instead of --crops")
    parser.add_argument("--crops", type=int, help="length of the run (default: by the number of pictures)")
    parser.add_argument("--round-crops", type=int, help="from checkpoint to checkpoint (default: by the length)")
    parser.add_argument("--batch-size", type=int, help="default: 16")
    parser.add_argument("--start", help="weights to start from, or none (default: the starter model's)")
    parser.add_argument(
        "--architecture",
        help="boardline-n.yaml (default) or any detection model of Ultralytics: yolov8n.yaml, yolo11s.yaml, "
        "yolov8n-p2.yaml, a .pt file",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: one for each core")
    parser.add_argument("--seed", type=int, help="default: 7")


def add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="run", help="folder of the run in the work folder (default: %(default)s)")


def train(options: argparse.Namespace, console: Console) -> int:
    """See `training.runs.command`."""
    from training.runs import command

    return command.train(options, console)


def report(options: argparse.Namespace, console: Console) -> int:
    """See `training.runs.command`."""
    from training.runs import command

    return command.report(options, console)
