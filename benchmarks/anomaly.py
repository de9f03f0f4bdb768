"""How well the anomaly score tells oddities from good boards, and what it costs.

Boards are drawn, of designs that no detector was trained on (seeds from 10,000), with each held-out oddity in turn. For
each design the score is fitted to good boards, and then asked about fresh ones. A share is of all designs together; the
area under the ROC curve is of scores in units of each design's threshold, as a line reads them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from inference_subscriber.anomaly.choosing import Choice
from inference_subscriber.anomaly.model import AnomalyModel, Subject
from inference_subscriber.engines import open_engine
from inference_subscriber.engines.base import DetectOptions, Image, Placement
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.inspecting import Inspector
from inference_subscriber.settings import InferenceSettings
from inference_subscriber.witness import Witness
from simulator.assembled.board import draw_assembled_board
from simulator.assembled.design import Design, make_design
from simulator.assembled.oddities import ODDITIES
from simulator.bare_board import NoRoomForDefects
from training.anomaly.fitting import FitSettings, fit
from training.evaluation.result import RESULTS, new_result, write_result

_SIDE = "left"
_GOOD, _FRESH, _ODD = 1_000, 100_000, 200_000
_SIZE = (640, 480)
_DOUBTFUL = InferenceSettings().doubtful_confidence


@dataclass(frozen=True)
class Scores:
    """Of fresh boards: the anomaly scores of good ones, and of those with each oddity."""

    good: tuple[float, ...]
    odd: dict[str, tuple[float, ...]]

    def auroc(self, name: str | None = None) -> float:
        """That a board with this oddity (none: any) scores higher than a good one."""
        chosen = self.odd if name is None else {name: self.odd[name]}
        odd = np.concatenate([np.array(each) for each in chosen.values()])
        good = np.array(self.good)
        return float((odd[:, None] > good).mean() + 0.5 * (odd[:, None] == good).mean())

    def called(self, name: str | None = None) -> float:
        """Share over the threshold: of good boards, or of those with this oddity."""
        return float((np.array(self.good if name is None else self.odd[name]) > 0.5).mean())


@dataclass(frozen=True)
class Cost:
    """Medians of a run, ms: the detector alone, and with the score."""

    batch: int
    detector_ms: float
    with_score_ms: float

    @property
    def added(self) -> float:
        return self.with_score_ms / self.detector_ms - 1


def main() -> int:
    given = _arguments()
    console = Console()
    settings = FitSettings(kind=given.kind, false_call_rate=given.false_call_rate)
    placement = Placement("cpu", threads=given.threads)
    engine = open_warm(given.model, placement, DetectOptions(features=(settings.stride,)))
    judged, line = [], None
    for seed in given.designs:
        design = make_design(seed)
        model = learn(design, engine, settings, given.good)
        line = line_inspector(given.model, placement, {_SIDE: model}, frozenset())
        judged.append(score(design, line, given.fresh, given.each))
        console.print(f"design {seed}: {_line(judged[-1])}")
    scores = _together(judged)
    assert line is not None
    frames = list(draw(make_design(given.designs[-1]), range(_FRESH, _FRESH + 8)))
    plain = open_warm(given.model, placement, DetectOptions())
    costs = [cost(plain, line, frames, batch, given.rounds) for batch in (1, 2)]
    _show(scores, costs, console)
    command = " ".join(["python -m benchmarks.anomaly", *sys.argv[1:]])
    write_result(new_result("anomaly", command, engine.model, _figures(given, scores, costs)), given.json)
    console.print(f"written: {given.json}")
    return 0


def learn(design: Design, engine: NetworkEngine, settings: FitSettings, count: int) -> AnomalyModel:
    subject = Subject("benchmark", _SIDE, engine.model, *_SIZE, DetectOptions().max_input)
    return fit(list(draw(design, range(_GOOD, _GOOD + count))), engine, subject, settings)


def line_inspector(
    model: Path, placement: Placement, anomalies: Mapping[str, AnomalyModel], minor: frozenset[str]
) -> Inspector:
    """What the service makes of these anomaly models."""
    chosen = Choice(anomalies)
    options = DetectOptions(features=chosen.strides, projections=chosen.projections, doubtful=_DOUBTFUL)
    return Inspector(open_warm(model, placement, options), anomalies, witness=Witness(minor))


def open_warm(model: Path, placement: Placement, options: DetectOptions) -> NetworkEngine:
    engine = open_engine(model, placement, options)
    engine.warm_up([_SIZE], 2)
    cv2.setNumThreads(2)  # as in the service
    return engine


def score(design: Design, inspector: Inspector, fresh: int, each: int) -> Scores:
    good = _scores(inspector, draw(design, range(_FRESH, _FRESH + fresh)))
    odd = {}
    for number, name in enumerate(ODDITIES):
        first = _ODD + 1_000 * number
        odd[name] = _scores(inspector, draw(design, range(first, first + each), (name,)))
    return Scores(good, odd)


def draw(design: Design, seeds: Iterable[int], oddities: Sequence[str] = ()) -> Iterator[Image]:
    for seed in seeds:
        try:
            yield draw_assembled_board(design, seed, oddities=oddities).image
        except NoRoomForDefects:
            continue


def cost(engine: NetworkEngine, inspector: Inspector, frames: Sequence[Image], batch: int, rounds: int) -> Cost:
    """The two in turn, so that other work on the machine slows both."""
    alone, both = [], []
    for number in range(rounds):
        chosen = [frames[(number + each) % len(frames)] for each in range(batch)]
        alone.append(_took_ms(partial(engine.detect, chosen)))
        both.append(_took_ms(partial(inspector.inspect, [(_SIDE, frame) for frame in chosen])))
    return Cost(batch, statistics.median(alone), statistics.median(both))


def _took_ms(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1e3


def _scores(inspector: Inspector, images: Iterable[Image]) -> tuple[float, ...]:
    found = [inspector.inspect([(_SIDE, image)])[0].anomaly_score for image in images]
    return tuple(each for each in found if each is not None)


def _together(judged: Sequence[Scores]) -> Scores:
    odd = {name: sum((each.odd[name] for each in judged), ()) for name in ODDITIES}
    return Scores(sum((each.good for each in judged), ()), odd)


def _line(scores: Scores) -> str:
    return f"AUROC {scores.auroc():.4f}, false calls {scores.called():.1%} of {len(scores.good)}"


def _show(scores: Scores, costs: Sequence[Cost], console: Console) -> None:
    table = Table("oddity", "boards", "AUROC", "called", title=f"all designs: {_line(scores)}")
    for name, each in scores.odd.items():
        table.add_row(name, str(len(each)), f"{scores.auroc(name):.4f}", f"{scores.called(name):.1%}")
    console.print(table)
    for run in costs:
        console.print(
            f"batch of {run.batch}: detector {run.detector_ms:.2f} ms, with the score {run.with_score_ms:.2f} ms"
            f" (+{run.added:.1%})"
        )


def _figures(given: argparse.Namespace, scores: Scores, costs: Sequence[Cost]) -> dict[str, object]:
    return {
        "designs": given.designs,
        "good_boards": given.good,
        "kind": given.kind,
        "stated_false_call_rate": given.false_call_rate,
        "auroc": round(scores.auroc(), 4),
        "fresh_good_boards": len(scores.good),
        "false_call_rate": round(scores.called(), 4),
        "oddities": {
            name: {"boards": len(each), "auroc": round(scores.auroc(name), 4), "called": round(scores.called(name), 4)}
            for name, each in scores.odd.items()
        },
        "added_time": round(max(each.added for each in costs), 4),
        "cost": [{**asdict(each), "added": round(each.added, 4)} for each in costs],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.anomaly", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/starter/boardline-starter.onnx"))
    parser.add_argument("--designs", type=int, nargs="+", default=[20_001, 20_002, 20_003, 20_004], metavar="SEED")
    parser.add_argument("--good", type=int, default=60, help="good boards to fit to (default: %(default)s)")
    parser.add_argument("--fresh", type=int, default=75, help="further good boards of each design")
    parser.add_argument("--each", type=int, default=15, help="boards with each oddity, of each design")
    parser.add_argument("--kind", choices=("padim", "memory"), default="padim")
    parser.add_argument("--false-call-rate", type=float, default=FitSettings().false_call_rate)
    parser.add_argument("--threads", type=int, default=2, help="of the detector (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=60, help="of the timing")
    parser.add_argument("--json", type=Path, default=RESULTS / "anomaly.json", help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
