"""`train` and `report` of `python -m training`."""

from __future__ import annotations

import argparse
import os
from collections import Counter

from rich.console import Console

from training.datasets.build import locate, require_sound
from training.datasets.form import HELD_OUT, TRAIN, read_samples
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS

_STOPPED = 130  # as the shell counts a program ended by Ctrl-C


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
        help="any detection model of Ultralytics: yolov8n.yaml (default), yolo11s.yaml, yolov8n-p2.yaml, or a .pt file",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: one for each core")
    parser.add_argument("--seed", type=int, help="default: 7")


def add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="run", help="folder of the run in the work folder (default: %(default)s)")


def train(options: argparse.Namespace, console: Console) -> int:
    """Status 130 when it was stopped by Ctrl-C or SIGTERM."""
    from training.runs.folder import Run
    from training.runs.length import parse_time
    from training.runs.plan import Wish
    from training.train import train as run_training

    seconds = parse_time(options.time) if options.time else None
    names = ("resume", "architecture", "crops", "round_crops", "batch_size", "start", "seed", "threads", "device")
    wish = Wish(seconds=seconds, **{name: getattr(options, name) for name in names})
    dataset = locate(options.data, options.work / "dataset", options.held_out or HELD_OUT_GROUPS)
    if dataset == options.data and not options.resume:  # all others were checked as they were made
        require_sound(dataset, options.work / "check")
    run = Run(options.work / options.name)
    if not run_training(dataset, run, wish, console):
        console.print(f"stopped; {run.checkpoint} is kept: the same command with --resume goes on")
        return _STOPPED
    console.print(f"trained: {run.to_use}")
    return report(options, console)


def report(options: argparse.Namespace, console: Console) -> int:
    """The page of a run, finished or not."""
    from training.checkpoint import read_checkpoint
    from training.runs.folder import Run
    from training.runs.record import RunSettings, read_settings
    from training.runs.report import write_report

    run = Run(options.work / options.name)
    settings = read_settings(run)
    if settings is None:  # begun before runs wrote their settings down
        checkpoint = read_checkpoint(run.checkpoint)
        dataset = locate(options.data, options.work / "dataset", options.held_out or HELD_OUT_GROUPS)
        trained, held_out = read_samples(dataset, TRAIN), read_samples(dataset, HELD_OUT)
        defects = dict(Counter(name for sample in trained for name in sample.classes))
        names, seen = tuple(checkpoint["class_names"]), int(checkpoint["seen"])
        settings = RunSettings(
            str(dataset), "yolov8n.yaml", seen, 0, 0, 0, "", names, len(trained), len(held_out), defects
        )
    write_report(run, settings, console)
    return 0
