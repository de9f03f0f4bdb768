"""`time` and `card` of `python -m training`: how long a frame takes, and the card with all figures."""

from __future__ import annotations

import argparse
import json
import os
import time as clock
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from inference_subscriber.engines import digest, open_engine
from inference_subscriber.engines.base import DetectOptions, Placement
from pcb_bus.contract.messages import ModelRef
from simulator.assembled.board import draw_assembled_board
from simulator.assembled.design import make_design
from training.datasets.errors import DatasetError
from training.evaluation.card import own_card, with_results, write_card
from training.evaluation.command import STARTER, command_line, existing
from training.evaluation.goals import DEMO, TIMING
from training.evaluation.pictures import FIRST_TEST_DESIGN
from training.evaluation.result import RESULTS, Result, new_result, read_results, write_result

_WARM_UP = 10


def add_time_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, default=STARTER, help=".onnx, .xml or .pt (default: %(default)s)")
    add("--device", default="auto", help="as for the line (default: %(default)s)")
    add("--threads", type=int, help="of the CPU (default: the engine's choice)")
    add("--frames", type=int, default=200, help="default: %(default)s")
    add("--json", type=Path, default=RESULTS / f"{TIMING}.json", help="file of the result (default: %(default)s)")


def time(options: argparse.Namespace, console: Console) -> int:
    """One frame of 640x480 after the other through the engine as the line has it: fit, network, boxes."""
    placement = Placement(options.device, options.threads)
    engine = open_engine(existing(options.model), placement, DetectOptions())
    engine.warm_up([(640, 480)], 1)
    image = draw_assembled_board(make_design(FIRST_TEST_DESIGN), 1).image
    taken = []
    for _ in range(_WARM_UP + max(1, options.frames)):
        started = clock.perf_counter()
        engine.detect([image])
        taken.append((clock.perf_counter() - started) * 1000)
    median, p95 = (round(float(each), 2) for each in np.percentile(taken[_WARM_UP:], (50, 95)))
    figures = {
        "engine": type(engine).__name__,
        "frames": options.frames,
        "median_ms": median,
        "p95_ms": p95,
        "load": round(os.getloadavg()[0], 2),
    }
    write_result(new_result(TIMING, command_line(options), engine.model, figures), options.json)
    console.print(f"a frame of 640x480 takes {median} ms at the median, {p95} at the 95th percentile")
    return 0


def add_card_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, default=STARTER, help="default: %(default)s")
    add("--results", type=Path, default=RESULTS, help="folder of the results (default: %(default)s)")
    add("--demo", type=Path, help="summary.json of a demo that ran with this model")
    add("--demo-command", default="make demo BOARDS=60", help="that it ran with (default: %(default)s)")
    add("--strict", action="store_true", help="status 1 unless every figure is reached")


def card(options: argparse.Namespace, console: Console) -> int:
    """From the results that are of these weights; others are named and left out."""
    model = existing(options.model)
    results = list(read_results(options.results))
    if options.demo:
        results.append(_of_demo(options.demo, options.demo_command, model))
    made, stray = with_results(own_card(model), results)
    write_card(model.parent, made)
    table = Table("figure", "asked", "measured", "reached")
    for row in made["figures"]:
        asked = f"≥ {row['at_least']:g}" if "at_least" in row else f"≤ {row['at_most']:g}"
        value = "not measured" if row["value"] is None else f"{row['value']:.4g}"
        table.add_row(row["what"], asked, value, {True: "yes", False: "no", None: ""}[row["reached"]])
    console.print(table)
    if stray:
        console.print(f"of other weights, left out: {', '.join(stray)}", style="yellow")
    return int(options.strict and not all(row["reached"] for row in made["figures"]))


def _of_demo(summary: Path, command: str, model: Path) -> Result:
    try:
        figures = json.loads(summary.read_text())
    except ValueError as error:
        raise DatasetError(f"--demo {summary}: {error}") from None
    return new_result(DEMO, command, ModelRef(name=model.stem, sha256=digest(model)), figures)
