"""Pictures of one product: good boards, and others."""

from collections.abc import Sequence

from inference_subscriber.anomaly.model import AnomalyModel, Subject
from inference_subscriber.engines.base import Image
from inference_subscriber.engines.features import FeatureEngine
from simulator.assembled.board import AssembledBoard, draw_assembled_board
from simulator.assembled.design import make_design
from training.anomaly.fitting import LEAST_BOARDS, FitSettings, Kind, fit

_DESIGN = make_design(10_050)


def board(seed: int, oddities: Sequence[str] = ()) -> AssembledBoard:
    return draw_assembled_board(_DESIGN, seed, oddities=oddities)


def good_boards(count: int = LEAST_BOARDS) -> list[Image]:
    return [board(seed).image for seed in range(count)]


def learn(images: Sequence[Image], engine: FeatureEngine, kind: Kind = "padim", side: str = "left") -> AnomalyModel:
    height, width = images[0].shape[:2]
    return fit(images, engine, Subject("demo", side, engine.model, width, height, 640), FitSettings(kind=kind))
