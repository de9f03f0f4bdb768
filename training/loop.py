"""The training loop: crops in, an averaged network out, with a checkpoint after every round.

The loss, the assigner and the weight averaging are Ultralytics'. Its trainer is not used: it knows neither bfloat16 nor
channels-last on a CPU, which together make a step about 1.7 times as fast here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.batches import Batch, batches
from training.checkpoint import read_checkpoint
from training.crops.crop import CropSettings
from training.crops.stream import CropStream, Mix
from training.datasets.form import Dataset
from training.device import choose_device, has_bfloat16
from training.errors import TrainingError
from training.files import written_whole
from training.network import average_of, build_network, transfer
from training.pace import Pace


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Args:
        crops: its whole length.
        round_crops: the stretch from checkpoint to checkpoint.
        start: checkpoint to start from; None: fresh weights.
        threads: most CPU threads of a step.
        device: cpu, cuda, cuda:1, or auto for a GPU where there is one.
    """

    architecture: str = "boardline-n.yaml"
    crops: int = 80_000
    round_crops: int = 1_600
    batch_size: int = 16
    peak_rate: float = 0.0015
    last_rate_share: float = 0.01
    warmup_crops: int = 3_000
    weight_decay: float = 0.02
    gradient_limit: float = 10.0
    seed: int = 7
    threads: int = 2
    start: Path | None = None
    device: str = "auto"
    mix: Mix = field(default_factory=Mix)
    crop: CropSettings = field(default_factory=CropSettings)


@dataclass(frozen=True)
class Round:
    """What one round reports: crops seen so far, mean loss, crops per second of this round."""

    seen: int
    loss: float
    rate: float
    crops_per_second: float


class Trainer:
    """A run that can be stopped after any step and taken up again from its checkpoint.

    Raises TrainingError when the device, the architecture or the start cannot be used.
    """

    def __init__(self, settings: TrainSettings, class_names: tuple[str, ...]) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.device = choose_device(settings.device)
        self.seen = 0
        self.seconds = 0.0
        self.class_names = class_names
        self.network = build_network(settings.architecture, class_names)
        self.transferred = (0, 0) if settings.start is None else transfer(self.network, settings.start)
        self.network.to(self.device)
        self._average = average_of(self.network)
        self._optimizer = _optimizer(self.network, settings)
        self._pace = Pace(settings.threads)

    @property
    def averaged(self) -> Any:
        """The exponential moving average of the weights: the network to evaluate and to keep."""
        return self._average.ema

    @property
    def knows_its_job(self) -> bool:
        """Whether the run starts from another of the same network: what it begins with can be used as it is."""
        taken, whole = self.transferred
        return self.settings.start is not None and taken == whole

    def is_finished(self) -> bool:
        return self.seen >= self.settings.crops

    def run_round(self, dataset: Dataset, progress: Callable[[Iterable[Batch], int], Iterable[Batch]]) -> Round:
        """Train on the next `round_crops` crops. `progress` wraps the batches to show them passing by."""
        settings, started = self.settings, time.monotonic()
        count = min(settings.round_crops, max(settings.crops - self.seen, settings.batch_size))
        steps = max(1, count // settings.batch_size)
        crops = CropStream(dataset, settings.mix, settings.crop, np.random.default_rng(settings.seed + self.seen))
        made = batches(iter(crops), self.class_names, settings.batch_size, steps)
        losses = list(self._steps(progress(made, steps)))
        elapsed = time.monotonic() - started
        self.seconds += elapsed
        mean = sum(losses) / len(losses) if losses else math.nan
        pace = len(losses) * settings.batch_size / elapsed
        return Round(self.seen, mean, self._optimizer.param_groups[0]["lr"], pace)

    def save(self, path: Path) -> None:
        """Write the checkpoint; a kill while writing leaves the last one whole."""
        state = {
            "seen": self.seen,
            "seconds": self.seconds,
            "updates": self._average.updates,
            "network": self.network.state_dict(),
            "average": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "class_names": self.class_names,
        }
        with written_whole(path) as partial:
            torch.save(state, partial)

    def resume(self, path: Path) -> None:
        """Take up the run of a checkpoint; its length and shares may have been changed since.

        Raises FileNotFoundError, and TrainingError when the checkpoint is damaged or of another network.
        """
        state = read_checkpoint(path)
        try:
            self.network.load_state_dict(state["network"])
            self.averaged.load_state_dict(state["average"])
            self._optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError):
            raise TrainingError(
                f"{path} is of another network than {self.settings.architecture} with {len(self.class_names)} classes"
            ) from None
        self._average.updates = state["updates"]
        self.seen, self.seconds = state["seen"], state["seconds"]

    def _steps(self, shown: Iterable[Batch]) -> Iterator[float]:
        self.network.train()
        for batch in shown:
            self._set_rate()
            yield self._paced_step(batch)
            self.seen += self.settings.batch_size

    def _paced_step(self, batch: Batch) -> float:
        if self.device.type != "cpu":
            return self._step(batch)
        threads, started = self._pace.next_threads(), time.monotonic()
        torch.set_num_threads(threads)
        loss = self._step(batch)
        self._pace.report(threads, time.monotonic() - started)
        return loss

    def _step(self, batch: Batch) -> float:
        batch = {name: values.to(self.device, non_blocking=True) for name, values in batch.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_bfloat16(self.device)):
            raw = self.network(batch["img"])
        losses, _ = self.network.loss(batch, _full_precision(raw))
        loss = losses.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_limit)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average.update(self.network)
        return float(loss.detach()) / self.settings.batch_size

    def _set_rate(self) -> None:
        rate = learning_rate(self.seen, self.settings)
        for group in self._optimizer.param_groups:
            group["lr"] = rate


def learning_rate(seen: int, settings: TrainSettings) -> float:
    """Linear warm-up, then half a cosine down to `last_rate_share` of the peak."""
    if seen < settings.warmup_crops:
        return settings.peak_rate * (seen + 1) / settings.warmup_crops
    done = min(1.0, (seen - settings.warmup_crops) / max(1, settings.crops - settings.warmup_crops))
    share = settings.last_rate_share + (1 - settings.last_rate_share) * (1 + math.cos(math.pi * done)) / 2
    return settings.peak_rate * share


def _optimizer(network: Any, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW with weight decay on kernels only, not on biases and normalisation."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.peak_rate)


def _full_precision(raw: Any) -> Any:
    """The network's output in FP32: box offsets of up to 16 strides are too coarse in bfloat16.

    Feature maps tell the loss their shapes alone, but heads with two branches nest them.
    """
    if isinstance(raw, dict):
        return {name: _full_precision(value) for name, value in raw.items()}
    if isinstance(raw, list):
        return [_full_precision(value) for value in raw]
    return raw.float()
