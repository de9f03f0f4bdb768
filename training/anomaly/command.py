"""`python -m training fit-anomaly`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.progress import Progress

from inference_subscriber.anomaly.file import save
from inference_subscriber.anomaly.model import AnomalyModel, Subject
from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import DetectOptions, Placement
from inference_subscriber.engines.network import NetworkEngine
from training.anomaly.fitting import LEAST_BOARDS, FitSettings, UnalignedBoards, fit
from training.anomaly.folder import GoodBoards, problems_of, read_good_boards
from training.errors import TrainingError

_SHOWN = 3


def add_fit_anomaly(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parsers of `python -m training`."""
    description = "learn the good boards of one product and side, for the anomaly score"
    parser = add("fit-anomaly", help=description, description=description)
    _add_options(parser)
    parser.set_defaults(command=fit_anomaly)


def _add_options(parser: argparse.ArgumentParser) -> None:
    settings = FitSettings()
    options = DetectOptions()
    parser.add_argument("--good", type=Path, required=True, help="folder of pictures of good boards, of one side")
    parser.add_argument("--side", default="left", help="default: %(default)s")
    parser.add_argument("--product", default="board", help="name of the product (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="file to write (default: var/anomaly/<product>-<side>.npz)")
    parser.add_argument(
        "--model", type=Path, default=Path("models/starter/boardline-starter.onnx"), help="the line's own"
    )
    parser.add_argument("--device", default="auto", help="as inference.device (default: %(default)s)")
    parser.add_argument("--max-input", type=pixels, default=options.max_input, help="as inference.max_input")
    parser.add_argument("--kind", choices=("padim", "memory"), default=settings.kind, help="memory: boards that vary")
    parser.add_argument(
        "--false-call-rate", type=_rate, default=settings.false_call_rate, help="of good boards (default: %(default)s)"
    )


def fit_anomaly(options: argparse.Namespace, console: Console) -> int:
    boards = read_good_boards(options.good, LEAST_BOARDS)
    settings = FitSettings(kind=options.kind, false_call_rate=options.false_call_rate)
    engine = _engine(options, settings.stride, boards.size)
    subject = Subject(options.product, options.side, engine.model, *boards.size, options.max_input)
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("good boards", total=len(boards.paths))
            model = fit(boards.images, engine, subject, settings, lambda done: progress.update(task, completed=done))
    except UnalignedBoards as error:
        raise _unaligned(options.good, boards, error) from None
    target = options.out or Path("var/anomaly") / f"{options.product}-{options.side}.npz"
    save(model, target)
    _show(model, boards, target, console)
    return 0


def _engine(options: argparse.Namespace, stride: int, size: tuple[int, int]) -> NetworkEngine:
    engine = open_engine(
        options.model, Placement(options.device), DetectOptions(max_input=options.max_input, features=(stride,))
    )
    engine.warm_up([size], engine.best_batch)
    return engine


def _unaligned(folder: Path, boards: GoodBoards, error: UnalignedBoards) -> TrainingError:
    names = [f"{boards.paths[index]}: the board of the others cannot be found in it" for index in error.indices]
    return problems_of(folder, names, [f"at least {LEAST_BOARDS} aligned good boards are needed"])


def _show(model: AnomalyModel, boards: GoodBoards, target: Path, console: Console) -> None:
    calibration, subject = model.calibration, model.subject
    scores = calibration.held_out
    worst = sorted(zip(scores, boards.paths, strict=True), reverse=True)[:_SHOWN]
    rate = f"threshold {calibration.threshold:.2f} for {calibration.false_call_rate:.1%} false calls"
    for line in (
        f"{target}: {subject.product} {subject.side}, {calibration.good_boards} good boards",
        f"held-out distances {min(scores):.2f} to {max(scores):.2f}, median {median(scores):.2f}; {rate}",
        "least like the others: " + ", ".join(f"{path.name} {score:.2f}" for score, path in worst),
        f"for config/line.yaml, below inference: anomaly: {{{subject.side}: {target}}}, product: {subject.product}",
    ):
        console.print(line, soft_wrap=True)


def pixels(text: str) -> int:
    """Of the longer side at the network's input, as the line takes them."""
    if not 32 <= int(text) <= 8192:
        raise argparse.ArgumentTypeError("32 to 8192")
    return int(text)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0.0001 <= rate <= 0.2:
        raise argparse.ArgumentTypeError("between 0.0001 and 0.2")
    return rate
