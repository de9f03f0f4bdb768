"""From pictures of good boards to an anomaly model with a calibrated threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inference_subscriber.anomaly.calibrating import threshold_of
from inference_subscriber.anomaly.memory import Memory, fit_memory
from inference_subscriber.anomaly.model import AnomalyModel, Calibration, Subject
from inference_subscriber.anomaly.padim import Floats, Gaussians, fit_gaussians, make_projection, project
from inference_subscriber.engines.base import Image
from inference_subscriber.engines.features import FeatureEngine
from training.anomaly.reference import register
from training.errors import TrainingError

Kind = Literal["padim", "memory"]
LEAST_BOARDS = 20
STRIDES: dict[Kind, int] = {"padim": 8, "memory": 16}


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How good boards are learned.

    Args:
        kind: padim, a Gaussian at each place of registered boards; or memory, wherever a board lies.
        false_call_rate: share of good boards that may exceed the threshold.
        dimensions: that features are reduced to; None: 16 for padim, 32 for memory.
        entries: of the memory.
        folds: each part of the boards is scored by statistics of the others.
    """

    kind: Kind = "padim"
    false_call_rate: float = 0.0005
    dimensions: int | None = None
    entries: int = 1000
    folds: int = 5

    @property
    def stride(self) -> int:
        return STRIDES[self.kind]


class UnalignedBoards(TrainingError):
    """Boards that cannot be registered to the others. `indices`: which of the pictures."""

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__(f"{len(indices)} pictures do not show the board of the others")
        self.indices = tuple(indices)


def fit(
    images: Sequence[Image],
    engine: FeatureEngine,
    subject: Subject,
    settings: FitSettings,
    on_progress: Callable[[int], None] = lambda done: None,
) -> AnomalyModel:
    """Learn pictures of good boards, of the subject's size (height x width x 3, BGR).

    Args:
        engine: hands over feature maps of `settings.stride`.
        on_progress: told how many pictures the network has seen.

    Raises:
        TrainingError: too few pictures, or an engine without feature maps.
        UnalignedBoards: pictures that do not show the same board.
    """
    if len(images) < LEAST_BOARDS:
        raise TrainingError(f"{len(images)} good boards are too few: at least {LEAST_BOARDS} are needed, 60 are better")
    if settings.stride not in engine.strides:
        raise TrainingError(
            f"{engine.model.name} hands over no feature maps of stride {settings.stride}: export it again"
        )
    reference, boards = _registered(images) if settings.kind == "padim" else (None, images)
    samples, projection, shape = _see(boards, engine, settings, on_progress)
    learn = _Learner(settings, projection, shape)
    scores = learn.held_out_scores(samples)
    threshold = threshold_of(scores, settings.false_call_rate)
    calibration = Calibration(threshold, settings.false_call_rate, len(images), tuple(scores))
    return AnomalyModel(subject, calibration, learn(samples), settings.stride, reference)


@dataclass(frozen=True)
class _Learner:
    settings: FitSettings
    projection: Floats
    shape: tuple[int, int]

    def __call__(self, samples: Floats) -> Gaussians | Memory:
        if self.settings.kind == "memory":
            return fit_memory(self.projection, samples, self.settings.entries)
        return fit_gaussians(self.projection, samples, self.shape)

    def held_out_scores(self, samples: Floats) -> list[float]:
        """The highest distance on each board, of statistics of the other folds."""
        folds = np.arange(len(samples)) % self.settings.folds
        scores = np.zeros(len(samples))
        for fold in range(self.settings.folds):
            scorer = self(samples[folds != fold])
            for index in np.flatnonzero(folds == fold):
                scores[index] = scorer.of(samples[index], self.shape).max()
        return [float(score) for score in scores]


def _registered(images: Sequence[Image]) -> tuple[Image, list[Image]]:
    registered = register(images)
    if registered.unaligned:
        raise UnalignedBoards(registered.unaligned)
    return registered.reference, [board for board in registered.boards if board is not None]


def _see(
    boards: Sequence[Image], engine: FeatureEngine, settings: FitSettings, on_progress: Callable[[int], None]
) -> tuple[Floats, Floats, tuple[int, int]]:
    """Projected features (boards, dimensions, places), the projection, and the map's height and width."""
    dimensions = settings.dimensions or (16 if settings.kind == "padim" else 32)
    samples: list[Floats] = []
    projection, shape = np.zeros((0, 0), np.float32), (0, 0)
    for start in range(0, len(boards), engine.best_batch):
        for look in engine.look(boards[start : start + engine.best_batch]):
            features = look.features[settings.stride]
            if not samples:
                projection, shape = make_projection(dimensions, len(features)), (features.shape[1], features.shape[2])
            samples.append(project(projection, features))
        on_progress(len(samples))
    return np.stack(samples), projection, shape
