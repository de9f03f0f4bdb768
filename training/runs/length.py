"""How long a run should be: by the size of the dataset, or by the time that there is."""

from __future__ import annotations

import re
from dataclasses import replace

from training.errors import TrainingError
from training.loop import TrainSettings

_CROPS_PER_IMAGE = 120
_LEAST, _MOST = 3_200, 80_000
_LEAST_FRESH = 24_000  # a network that knows nothing yet needs these even for a few pictures
_ROUNDS, _MOST_ROUND_CROPS = 25, 1_600
_SCORES = 12
_WARMUP_SHARE, _MOST_WARMUP = 0.05, 3_000
_UNITS = {"s": 1, "m": 60, "h": 3600}


def crops_for(images: int, *, fresh: bool) -> int:
    """The usual length for that many pictures to learn from; `fresh`: not started from a trained detector."""
    return min(_MOST, max(_LEAST_FRESH if fresh else _LEAST, images * _CROPS_PER_IMAGE))


def with_length(settings: TrainSettings, crops: int, round_crops: int | None = None) -> TrainSettings:
    """The settings for a run of that length: its rounds and its warm-up go with it."""
    batch = settings.batch_size
    usual = min(_MOST_ROUND_CROPS, -(-crops // (_ROUNDS * batch)) * batch)
    return replace(
        settings,
        crops=crops,
        round_crops=round_crops or usual,
        warmup_crops=min(_MOST_WARMUP, max(batch, round(crops * _WARMUP_SHARE))),
    )


def rounds_between_scores(settings: TrainSettings) -> int:
    """Rounds from one look at the held-out part to the next."""
    return max(1, settings.crops // (settings.round_crops * _SCORES))


def parse_time(text: str) -> float:
    """Seconds of `90s`, `30m`, `1.5h` or `1h30m`. Raises TrainingError."""
    if not re.fullmatch(r"(\d+(\.\d+)?[smh])+", text):
        raise TrainingError(f"--time: {text!r} is no time; write 45m, 2h or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)([smh])", text))
    if seconds <= 0:
        raise TrainingError(f"--time: {text} is too short")
    return seconds


def in_words(seconds: float) -> str:
    """A time as one says it: 40 seconds, 35 minutes, 2.5 hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} minutes"
    return f"{seconds / 3600:.1f} hours"
