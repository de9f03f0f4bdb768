"""`python -m training dataset|train|report|evaluate|export`: the detector's data, training, evaluation and export."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from pcb_bus.errors import BoardlineError
from training import commands
from training.anomaly.command import add_fit_anomaly
from training.datasets import command as dataset
from training.evaluation.measure import MeasureSettings
from training.runs import options as runs

_STARTER = Path("models/starter")
_COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "train": runs.train,
    "report": runs.report,
    "evaluate": commands.evaluate,
    "export": commands.export,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and one line on standard error when its input is wrong."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options, Console()))
    except (BoardlineError, FileNotFoundError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="command")
    shared = _shared()

    def add(name: str, description: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, parents=[shared], help=description, description=description)
        added.set_defaults(command=_COMMANDS[name])
        return added

    _add_dataset(subparsers.add_parser)
    add_fit_anomaly(subparsers.add_parser)
    runs.add_train_options(add("train", "train a detector on your boards, or take up an interrupted run"))
    runs.add_name(add("report", "write the report of a run anew, with what it has reached so far"))
    _add_evaluate_options(add("evaluate", "measure a detector on boards that it was not trained on"))
    _add_export_options(add("export", "turn the weights of a run into a model folder with a card"))
    return parser


def _add_dataset(add: Callable[..., argparse.ArgumentParser]) -> None:
    description = "import a dataset of your own, in YOLO, COCO, Pascal VOC or DeepPCB layout, and check it"
    parser = add("dataset", help=description, description=description)
    dataset.add_options(parser)
    parser.set_defaults(command=dataset.dataset)


def _shared() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    shared.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("PCB_DATA") or "../shared/data/deeppcb"),
        help="folder in the DeepPCB layout, or a dataset with a data.yaml (default: $PCB_DATA, else %(default)s)",
    )
    shared.add_argument(
        "--held-out",
        type=lambda text: frozenset(text.split(",")),
        help="DeepPCB groups never trained on (default: those of the model's card, else as DeepPCB is split here)",
    )
    shared.add_argument("--work", type=Path, default=Path("var/train"), help="work folder (default: %(default)s)")
    return shared


def _add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    defaults = MeasureSettings()
    parser.add_argument("--model", type=Path, default=_STARTER / "boardline-starter.onnx", help="default: %(default)s")
    parser.add_argument("--drawn-boards", type=int, default=defaults.drawn_boards, help="default: %(default)s")
    parser.add_argument("--confidence", type=float, default=defaults.confidence, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")


def _add_export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, help="default: the run in the work folder")
    parser.add_argument("--drawn-boards", type=int, default=MeasureSettings().drawn_boards, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=_STARTER, help="model folder (default: %(default)s)")
    parser.add_argument("--name", default="boardline-starter", help="default: %(default)s")
    parser.add_argument("--machine", default="an unnamed machine", help="what it was trained on, for the card")
    parser.add_argument("--notes", default="", help="a remark on the training, for the card")


if __name__ == "__main__":
    sys.exit(main())
