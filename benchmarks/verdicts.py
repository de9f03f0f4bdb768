"""Escapes and false calls of whole boards, detector and anomaly score together, over several products.

The boards are those of the line's demo, two sides each, of products that no detector was trained on. For each product
the score is fitted to its good boards first, as the demo does it. A board counts once, by its worst category; a share
is of all boards together, with its 95 % interval (Wilson 1927).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.anomaly import line_inspector, open_warm
from inference_subscriber.anomaly.model import AnomalyModel, Subject
from inference_subscriber.boxes import boxes_of
from inference_subscriber.engines.base import DetectOptions, Findings, Image, Placement
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.inspecting import Inspector
from pcb_bus.contract.messages import Category
from pcb_bus.contract.taxonomy import Taxonomy, load_taxonomy
from simulator.accounts import is_escape, is_false_call
from simulator.painter import assembled_drawer, exposed, sensor_noise
from simulator.schedule import Fault, Schedule
from training.anomaly.fitting import FitSettings, fit
from training.evaluation.factory import Share
from training.evaluation.result import RESULTS, new_result, write_result

_SIDES = ("left", "right")
_SIZE = (640, 480)
_GOOD_SEED = -1_000_003
_ANOMALY_THRESHOLD = 0.5
_MOST_TOLD = 40


@dataclass(frozen=True)
class Judged:
    """One board: what it is, what it was taken for, what is wrong with it, and the boxes found."""

    product: int
    number: int
    truth: Category
    verdict: Category
    drawn: tuple[Fault, ...]
    found: tuple[str, ...]

    @property
    def error(self) -> str | None:
        if is_escape(self.truth, self.verdict):
            return "escape"
        return "false call" if is_false_call(self.truth, self.verdict) else None


def main() -> int:
    given = _arguments()
    console = Console()
    taxonomy = load_taxonomy(given.taxonomy)
    settings = FitSettings()
    placement = Placement("cpu")
    engine = open_warm(given.model, placement, DetectOptions(features=(settings.stride,)))
    boards: list[Judged] = []
    for product in given.products:
        schedule = Schedule(seed=given.seed * 1_000 + product, product=product)  # other boards, not only other designs
        models = {side: learn(schedule, side, engine, settings, given.good) for side in _SIDES}
        line = line_inspector(given.model, placement, models, taxonomy.minor)
        numbers = track(range(given.boards), f"product {product}", console=console, transient=True)
        boards += [judge(schedule, number, line, taxonomy) for number in numbers]
        console.print(f"product {product}: {_line([each for each in boards if each.product == product])}")
    figures = _figures(boards)
    _show(boards, figures, console)
    command = " ".join(["python -m benchmarks.verdicts", *sys.argv[1:]])
    options = {"products": given.products, "boards_each": given.boards, "good_boards": given.good}
    write_result(new_result("verdicts", command, engine.model, options | figures), given.json)
    console.print(f"written: {given.json}")
    return 0


def learn(schedule: Schedule, side: str, engine: NetworkEngine, settings: FitSettings, count: int) -> AnomalyModel:
    """The anomaly score of one side, fitted to good boards that no run shows."""
    good = replace(schedule, seed=_GOOD_SEED, defect_share=0, oddity_share=0)
    subject = Subject(f"product-{schedule.product}", side, engine.model, *_SIZE, DetectOptions().max_input)
    seen = pictures(good, side)
    return fit([next(seen) for _ in range(count)], engine, subject, settings)


def pictures(schedule: Schedule, side: str, first: int = 0) -> Iterator[Image]:
    """What a camera of the demo publishes, board after board."""
    draw = assembled_drawer(schedule, side, *_SIZE)
    for number, noise in enumerate(cycle(sensor_noise(*_SIZE, first)), first):
        yield exposed(draw(number).image, noise)


def judge(schedule: Schedule, number: int, line: Inspector, taxonomy: Taxonomy) -> Judged:
    seen = [(side, next(pictures(schedule, side, number))) for side in _SIDES]
    found = [name for each in line.inspect(seen) for name in _names(each, taxonomy)]
    verdict = taxonomy.worst(taxonomy.category_of(name) for name in found)
    truth = schedule.truth(number, _SIDES, taxonomy)
    drawn = schedule.faults_of_board(number, _SIDES)
    return Judged(schedule.product, number, truth, verdict, tuple(drawn), tuple(found))


def _names(findings: Findings, taxonomy: Taxonomy) -> Iterator[str]:
    for box in boxes_of(findings, _SIZE, taxonomy, _ANOMALY_THRESHOLD):
        yield box.class_name


def _figures(boards: Sequence[Judged]) -> dict[str, Any]:
    bad = [each for each in boards if each.truth != "normal"]
    odd = [each for each in boards if any(fault.odd for fault in each.drawn)]
    wrong = [each for each in boards if each.error]
    figures: dict[str, Any] = {"boards": len(boards), "bad_boards": len(bad), "odd_boards": len(odd)}
    for name, error in (("escape", "escape"), ("false_call", "false call")):
        share = Share(sum(each.error == error for each in boards), len(boards))
        figures[f"{name}s"] = share.count
        figures[f"{name}_rate"] = round(share.value or 0.0, 4)
        figures[f"{name}_rate_interval95"] = [round(each, 4) for each in share.interval]
    figures["odd_boards_escaped"] = sum(each.error == "escape" for each in odd)
    return figures | {"misjudged": [_told(each) for each in wrong[:_MOST_TOLD]]}


def _told(board: Judged) -> dict[str, Any]:
    drawn = [f"{fault.side} {fault.name}" for fault in board.drawn]
    return {
        "product": board.product,
        "board": board.number,
        "error": board.error,
        "drawn": drawn,
        "found": list(board.found),
    }


def _line(boards: Sequence[Judged]) -> str:
    escapes, false_calls = (sum(each.error == kind for each in boards) for kind in ("escape", "false call"))
    return f"{len(boards)} boards, {escapes} escapes, {false_calls} false calls"


def _show(boards: Sequence[Judged], figures: dict[str, Any], console: Console) -> None:
    table = Table("product", "board", "error", "drawn", "found", title=f"all products: {_line(boards)}")
    for each in figures["misjudged"]:
        what = ", ".join(each["drawn"]), ", ".join(each["found"])
        table.add_row(str(each["product"]), str(each["board"]), each["error"], *what)
    console.print(table)
    for kind in ("escape", "false_call"):
        share, (low, high) = figures[f"{kind}_rate"], figures[f"{kind}_rate_interval95"]
        console.print(f"{kind.replace('_', ' ')}s per board: {share:.2%} (95 %: {low:.2%} to {high:.2%})")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.verdicts", description=__doc__)
    add = parser.add_argument
    add("--model", type=Path, default=Path("models/starter/boardline-starter.onnx"))
    add("--taxonomy", type=Path, default=Path("config/pcb_defects.yaml"))
    add("--products", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="default: %(default)s")
    add("--boards", type=int, default=200, help="of each product (default: %(default)s)")
    add("--good", type=int, default=60, help="good boards to fit to, of each side (default: %(default)s)")
    add("--seed", type=int, default=1, help="of the boards (default: %(default)s)")
    add("--json", type=Path, default=RESULTS / "verdicts.json", help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
