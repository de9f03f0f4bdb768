"""`train` and `report` of `python -m training`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rich.console import Console

from training.checkpoint import read_checkpoint
from training.datasets.build import locate, place_for, require_sound
from training.datasets.form import TRAIN, VAL, is_form, read_samples
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.loop import TrainSettings
from training.runs.folder import Run
from training.runs.length import parse_time
from training.runs.plan import Wish
from training.runs.record import RunSettings, read_settings
from training.runs.report import write_report
from training.train import train as run_training

_STOPPED = 130  # as the shell counts a program ended by Ctrl-C


def train(options: argparse.Namespace, console: Console) -> int:
    """Status 130 when it was stopped by Ctrl-C or SIGTERM."""
    seconds = parse_time(options.time) if options.time else None
    names = ("resume", "architecture", "crops", "round_crops", "batch_size", "start", "seed", "threads", "device")
    wish = Wish(seconds=seconds, **{name: getattr(options, name) for name in names})
    run = Run(options.work / options.name)
    dataset = _dataset_of(run, options) if options.resume else _sound_dataset(options)
    if not run_training(dataset, run, wish, console):
        kept = f"; {run.checkpoint} is kept: the same command with --resume goes on" if run.checkpoint.is_file() else ""
        console.print(f"stopped{kept}", soft_wrap=True)
        return _STOPPED
    console.print(f"trained: {run.to_use}", soft_wrap=True)
    return report(options, console)


def report(options: argparse.Namespace, console: Console) -> int:
    """The page of a run, finished or not."""
    run = Run(options.work / options.name)
    write_report(run, read_settings(run) or _presumed(run, options), console)
    return 0


def _sound_dataset(options: argparse.Namespace) -> Path:
    groups = options.held_out or HELD_OUT_GROUPS
    dataset = locate(options.data, place_for(options.data, options.work, groups), groups)
    if dataset == options.data:  # all others were checked as they were made
        require_sound(dataset, options.work / "check")
    return dataset


def _dataset_of(run: Run, options: argparse.Namespace) -> Path:
    """What the run was begun on, as it is now."""
    known = read_settings(run)
    if known is not None:
        return Path(known.data)
    made: Path = options.work / "dataset"
    if is_form(made) and not is_form(options.data):
        return made
    return _sound_dataset(options)


def _presumed(run: Run, options: argparse.Namespace) -> RunSettings:
    """For a run begun before runs wrote their settings down."""
    checkpoint, dataset = read_checkpoint(run.checkpoint), _dataset_of(run, options)
    trained, held_out = read_samples(dataset, TRAIN), read_samples(dataset, VAL)
    return RunSettings(
        data=str(dataset),
        architecture=TrainSettings().architecture,
        crops=int(checkpoint["seen"]),
        round_crops=0,
        batch_size=0,
        seed=0,
        start="",
        classes=tuple(checkpoint["class_names"]),
        images=len(trained),
        held_out_images=len(held_out),
        defects=dict(Counter(name for sample in trained for name in sample.classes)),
    )
