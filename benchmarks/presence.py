"""Boards that go by a camera without a sensor: `python -m benchmarks.presence [--passes N] [--json FILE]`.

Drawn boards of two products on a drawn belt of 0.05 to 0.5 m/s, 640x480 at 10, 15 and 30 pictures a second, under each
condition that a line throws at a camera; then an empty belt, and each disturbance of it, where no pass may come. Where
the photographs are, boards cut out of them as well. Nothing is set up. Exit code 1 when a figure that was promised is
missed. Figures of CPU are of this thread alone, with one core for OpenCV.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.machine import machine
from pcb_bus.contract.times import ns_to_ms
from pcb_bus.seeing.presence import Pass, Presence
from simulator.bare_board import draw_board
from simulator.moving_belt import DISTURBANCES, NO_BOARD, Image, Scene, View, coloured, cut_out, product_boards, views
from training.evaluation.factory import Share

PHOTOGRAPHS = Path("../shared/data/joints_phone/images")
LEAST_WHOLE, MOST_CPU_MS, MOST_WAIT_MS = 0.99, 1.0, 150.0
_KEPT = 600  # views, to look up what a chosen picture showed


@dataclass
class Result:
    """What became of the boards of one condition."""

    condition: str
    product: str
    fps: float
    boards: int
    passes: int = 0
    missed: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)
    may_be_whole: int = 0  # boards that were whole in some picture: few of those that fill the view, at speed
    whole: int = 0  # of these, in the picture chosen
    cpu_ms: float = 0.0
    longest_wait_ms: float = 0.0  # beyond the picture's period
    pictures: int = 0

    @property
    def right(self) -> bool:
        return not self.missed and not self.twice and self.passes == self.boards


def main() -> int:
    given = _arguments()
    cv2.setNumThreads(1)
    console, results, costs = Console(), [], []
    for name, product, scene in _scenes(given):
        if given.only and name not in given.only:
            continue
        result, spent = measure(name, product, scene)
        results.append(result)
        costs += spent
        console.print(_line(result))
    return report(results, costs, given.json, console)


def _scenes(given: argparse.Namespace) -> Iterator[tuple[str, str, Scene]]:
    """Condition, product and scene."""
    for fps in given.fps:
        for product, boards in _products(given).items():
            for number, (name, options) in enumerate(_conditions(boards).items()):
                plain = {"boards": boards, "count": given.passes, "seed": 10 + number, "fps": fps}
                yield name, product, Scene(**{**plain, **options})
    for disturbance in ((), *((each,) for each in DISTURBANCES), DISTURBANCES) if given.empty_s else ():
        name = "empty belt" + "".join(f", {each}" for each in disturbance)
        yield name, "none", Scene(lead_s=given.empty_s, disturbances=frozenset(disturbance), fps=given.empty_fps)


def _products(given: argparse.Namespace) -> dict[str, Sequence[Image]]:
    products: dict[str, Sequence[Image]] = {f"product {each}": product_boards(each) for each in given.products}
    photographs = photographed(given.photographs)
    return {**products, "photographs": photographs} if photographs else products


def _conditions(boards: Sequence[Image]) -> Mapping[str, dict[str, Any]]:
    return {
        "plain": {},
        **{each: {"disturbances": frozenset({each})} for each in DISTURBANCES},
        "all at once": {"disturbances": frozenset(DISTURBANCES)},
        "end to end": {"gap": (0, 2)},
        "stops": {"stops_s": (0.4, 2.0, 5.0, 1.0, 3600.0, *(1.0,) * 15)},
        "other colours": {"boards": coloured(boards)},
        "board at the start": {"start": 480.0},
        "bare copper": {"boards": bare_boards()},
        "faint boards": {"boards": tuple(faint(each) for each in boards)},
        "boards that fill the view": {"boards": sized(boards, 610, 440), "gap": (60, 400)},
        "boards longer than the view": {"boards": sized(boards, 760, 400), "gap": (60, 400)},
        "small boards": {"boards": sized(boards, 110, 80)},
    }


def bare_boards() -> tuple[Image, ...]:
    """Black copper on white laminate: no colour, and little texture."""
    return tuple(cut_out(draw_board(seed).image) for seed in range(6))


def faint(board: Image) -> Image:
    """As dark as the belt, nearly of its colour, with a third of its contrast."""
    return np.asarray(cv2.addWeighted(board, 0.35, np.full_like(board, 56), 0.65, 0), np.uint8)


def sized(boards: Sequence[Image], width: int, height: int) -> tuple[Image, ...]:
    return tuple(np.asarray(cv2.resize(each, (width, height)), np.uint8) for each in boards)


def photographed(folder: Path) -> tuple[Image, ...]:
    """Boards cut out of photographs, some of one each day; none where the photographs are not."""
    files = sorted(folder.glob("*.jpg"), key=lambda each: each.name)[::40] if folder.is_dir() else []
    if not files:
        print(f"no photographs in {folder}: left out", file=sys.stderr)
    pictures = (cv2.imread(str(each), cv2.IMREAD_COLOR) for each in files)
    return tuple(cut_out(np.asarray(each[90:630], np.uint8)) for each in pictures if each is not None)


def measure(name: str, product: str, scene: Scene) -> tuple[Result, list[float]]:
    """Plays a scene; what became of its boards, and the CPU time of each picture, ms."""
    presence, shown, costs = Presence(), dict[int, View](), []
    result, taken = Result(name, product, scene.fps, scene.count), dict[int, int]()
    whole, chosen = set[int](), set[int]()
    for view in views(scene):
        shown[view.captured_at_ns] = View(view.image[:0], view.captured_at_ns, view.boards)
        whole.update(filter(view.whole, view.boards))
        began = time.thread_time()
        found = presence.see(view.image, view.captured_at_ns)
        costs.append((time.thread_time() - began) * 1e3)
        if len(shown) > _KEPT:
            del shown[next(iter(shown))]
        if found is not None:
            picture = shown[found.captured_at_ns]
            _note(result, found, picture, view, taken)
            chosen.update(filter(picture.whole, [picture.board_at(found.outline)]))
    result.missed = [index for index in range(scene.count) if index not in taken]
    result.twice = sorted(index for index, times in taken.items() if index != NO_BOARD and times > 1)
    result.may_be_whole, result.whole = len(whole), len(chosen)
    result.cpu_ms, result.pictures = float(np.mean(costs)), len(costs)
    return result, costs


def _note(result: Result, found: Pass, chosen: View, now: View, taken: dict[int, int]) -> None:
    """The board of a pass is the one that lies where the pass says."""
    result.passes += 1
    wait = ns_to_ms(now.captured_at_ns - found.captured_at_ns) - 1000 / result.fps
    result.longest_wait_ms = max(result.longest_wait_ms, wait)
    index = chosen.board_at(found.outline)
    taken[index] = taken.get(index, 0) + 1


def report(results: Sequence[Result], costs: Sequence[float], file: Path | None, console: Console) -> int:
    table = Table(
        "condition", "boards of", "per second", "pictures", "boards", "passes", "missed", "twice", "whole", "CPU, ms"
    )
    for each in results:
        counts = each.pictures, each.boards, each.passes, len(each.missed), len(each.twice)
        whole_of_them = f"{each.whole} of {each.may_be_whole}"
        told = each.condition, each.product, f"{each.fps:g}", *map(str, counts), whole_of_them, f"{each.cpu_ms:.2f}"
        table.add_row(*told)
    console.print(table)
    whole = Share(sum(each.whole for each in results), sum(each.may_be_whole for each in results))
    boards = sum(each.boards for each in results)
    once = Share(boards - sum(len({*each.missed, *each.twice}) for each in results), boards)
    cuts = quantiles(costs, n=100)
    cpu = {"mean": float(np.mean(costs)), "p50": cuts[49], "p95": cuts[94]}
    console.print(f"boards counted once: {_told(once)}")
    console.print(f"whole in the picture chosen: {_told(whole)}, boards that are whole in no picture left out")
    console.print("CPU per picture, ms: " + ", ".join(f"{name} {value:.2f}" for name, value in cpu.items()))
    figures = {"machine": machine(), "cpu_ms": cpu, "results": [asdict(each) for each in results]}
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n")
    waited = max((each.longest_wait_ms for each in results if each.boards), default=0.0)
    console.print(f"longest wait for the verdict of presence: {waited:.0f} ms after the picture, less a period")
    kept = (
        all(each.right for each in results),
        not whole.of or whole.interval[0] >= LEAST_WHOLE,
        cpu["p50"] <= MOST_CPU_MS,
        waited <= MOST_WAIT_MS,
    )
    return 0 if all(kept) else 1


def _told(share: Share) -> str:
    return f"{share.count} of {share.of} (95 % interval from {share.interval[0]:.2%})" if share.of else "none"


def _line(result: Result) -> str:
    fault = f", missed {result.missed}, twice {result.twice}" if not result.right else ""
    where = f"{result.condition}, {result.product}, {result.fps:g}/s"
    return f"{where}: {result.passes} passes of {result.boards} boards{fault}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.presence", description=__doc__)
    parser.add_argument("--passes", type=int, default=100, help="boards for each condition (default: %(default)s)")
    parser.add_argument("--products", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--fps", type=float, nargs="+", default=[10, 15, 30], help="pictures a second (default: all of %(default)s)"
    )
    parser.add_argument("--empty-s", type=float, default=3600.0, help="of each empty belt; 0 leaves them out")
    parser.add_argument("--empty-fps", type=float, default=30.0, help="pictures a second of an empty belt")
    parser.add_argument("--only", nargs="+", metavar="CONDITION", help="these conditions alone")
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="default: %(default)s")
    parser.add_argument("--json", type=Path, help="file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
