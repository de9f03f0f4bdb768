"""From what was asked for, and the dataset, to the settings of a run."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from training.crops.stream import REAL_ONLY, Mix
from training.datasets.form import Dataset
from training.errors import TrainingError
from training.loop import TrainSettings
from training.runs.length import crops_for, with_length
from training.runs.record import RunSettings

STARTER = Path("models/starter/boardline-starter.pt")
FRESH = "none"


@dataclass(frozen=True)
class Wish:
    """What was asked for; None: the usual, or what a resumed run was begun with.

    Args:
        start: a checkpoint, or FRESH for weights that know nothing.
        seconds: time that the run may take, instead of a length.
    """

    resume: bool = False
    architecture: str | None = None
    crops: int | None = None
    round_crops: int | None = None
    batch_size: int | None = None
    start: str | None = None
    seed: int | None = None
    seconds: float | None = None
    threads: int = os.cpu_count() or 1
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("crops", "round_crops", "batch_size", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise TrainingError(f"--{name.replace('_', '-')}: {value} is less than 1")
        if self.seed is not None and self.seed < 0:
            raise TrainingError(f"--seed: {self.seed} is less than 0")


def settings_for(wish: Wish, trained: Dataset, earlier: RunSettings | None) -> TrainSettings:
    """The settings of the run; `earlier`: those of the run that is taken up again."""
    usual = TrainSettings()
    architecture = wish.architecture or (earlier.architecture if earlier else usual.architecture)
    start = _start(wish, architecture)
    known = earlier.crops if earlier else crops_for(len(trained.samples), fresh=start is None and not wish.resume)
    settings = replace(
        usual,
        architecture=architecture,
        batch_size=wish.batch_size or (earlier.batch_size if earlier else usual.batch_size),
        seed=wish.seed if wish.seed is not None else (earlier.seed if earlier else usual.seed),
        threads=wish.threads,
        device=wish.device,
        start=start,
        mix=usual_mix(trained),
    )
    return with_length(settings, wish.crops or known, wish.round_crops or (earlier.round_crops if earlier else None))


def usual_mix(trained: Dataset) -> Mix:
    """DeepPCB is trained on together with drawn boards; one's own boards stand for themselves."""
    return Mix() if trained.bare_copper else REAL_ONLY


def _start(wish: Wish, architecture: str) -> Path | None:
    """A resumed run starts from its checkpoint, another architecture's checkpoint from its own weights."""
    if wish.resume or wish.start == FRESH:
        return None
    if wish.start is not None:
        return Path(wish.start)
    return Path(architecture) if architecture.endswith(".pt") else STARTER
