"""`python -m training dataset|train|report|export|quantize|calibrate|evaluate|time|card`: from data to a detector."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from pcb_bus.errors import BoardlineError
from training.anomaly.command import add_fit_anomaly
from training.datasets import command as dataset
from training.evaluation.calibrate_command import add_calibrate_options, calibrate
from training.evaluation.card_command import add_card_options, add_time_options, card, time
from training.evaluation.command import add_evaluate_options, evaluate
from training.exporting import options as exporting
from training.runs import options as runs

_COMMANDS: dict[str, Callable[[argparse.Namespace, Console], int]] = {
    "train": runs.train,
    "report": runs.report,
    "evaluate": evaluate,
    "calibrate": calibrate,
    "time": time,
    "card": card,
    "export": exporting.export,
    "quantize": exporting.quantize,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 2 and one line on standard error when its input is wrong."""
    options = _parser().parse_args(arguments)
    options.typed = sys.argv[1:] if arguments is None else arguments
    try:
        return int(options.command(options, Console(markup=False)))  # [brackets] in names of files stay what they are
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
    add_evaluate_options(add("evaluate", "measure a detector on boards that it was not trained on"))
    add_calibrate_options(add("calibrate", "choose temperature and thresholds, for the model's card"))
    add_time_options(add("time", "how long the engine takes for a frame of 640x480"))
    add_card_options(add("card", "write what was measured into the model's card"))
    exporting.add_export_options(add("export", "turn the weights of a run into a model folder with a card"))
    exporting.add_quantize_options(add("quantize", "an eight-bit copy of an exported model, to measure"))
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


if __name__ == "__main__":
    sys.exit(main())
