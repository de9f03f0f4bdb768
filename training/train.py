"""A whole training run in a work folder: rounds, checkpoints, scores on the held-out part, and the final weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track

from training.batches import Batch
from training.boxes import Image
from training.crops.stream import REAL_ONLY, Mix, classes_of
from training.datasets.form import HELD_OUT, TRAIN, Sample, read_dataset
from training.evaluation.decode import DecodeSettings, to_blob
from training.evaluation.evaluate import Network, evaluate
from training.loop import Trainer, TrainSettings
from training.network import load_weights, save_weights


@dataclass(frozen=True)
class Run:
    """Where a run keeps its files, and how often it is scored."""

    folder: Path
    evaluate_every: int = 5

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        return self.folder / "weights.pt"

    @property
    def log(self) -> Path:
        return self.folder / "rounds.jsonl"


def train(dataset: Path, run: Run, settings: TrainSettings, resume: bool, console: Console) -> Path:
    """Train to the end of the run and return the path of the final weights.

    Raises FileNotFoundError when there is nothing to resume.
    """
    trained, held_out = read_dataset(dataset, TRAIN), read_dataset(dataset, HELD_OUT)
    names = class_names(trained.class_names, settings)
    trainer = Trainer(settings, names)
    _start(trainer, run, resume)
    rounds = 0
    while not trainer.is_finished():
        done = trainer.run_round(trained, lambda batches, count: _shown(batches, count, trainer, console))
        trainer.save(run.checkpoint)
        save_weights(trainer.averaged, run.weights, settings.crop.size)
        rounds += 1
        entry: dict[str, Any] = {
            "seen": done.seen,
            "loss": done.loss,
            "rate": done.rate,
            "crops_per_s": done.crops_per_second,
        }
        if trainer.is_finished() or rounds % run.evaluate_every == 0:
            entry["held_out"] = _score(trainer, held_out.samples, names)
        _log(run, entry | {"seconds": trainer.seconds}, console)
    return run.weights


def usual_mix(dataset: Path) -> Mix:
    """DeepPCB is trained on together with drawn boards; one's own boards stand for themselves."""
    return Mix() if read_dataset(dataset, HELD_OUT).bare_copper else REAL_ONLY


def class_names(dataset_names: tuple[str, ...], settings: TrainSettings) -> tuple[str, ...]:
    """What the detector will know: the classes of its start, so that its head serves on, else those of the sources.

    A start that does not know all of the dataset's classes gives up its head.
    """
    if settings.start is not None:
        names = load_weights(settings.start).names
        known = tuple(str(names[index]) for index in sorted(names))
        if set(classes_of(settings.mix, dataset_names)) <= set(known):
            return known
    return classes_of(settings.mix, dataset_names)


def torch_network(network: Any) -> Network:
    """The network as `evaluate` takes it."""

    def infer(image: Image) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            output = network(torch.from_numpy(to_blob(image)))
        return np.asarray((output[0] if isinstance(output, tuple) else output)[0].numpy())

    return infer


def _start(trainer: Trainer, run: Run, resume: bool) -> None:
    if resume:
        trainer.resume(run.checkpoint)
        return
    run.folder.mkdir(parents=True, exist_ok=True)
    run.log.write_text("")


def _shown(batches: Iterable[Batch], count: int, trainer: Trainer, console: Console) -> Iterable[Batch]:
    title = f"crops {trainer.seen:>7,} of {trainer.settings.crops:,}"
    return track(batches, title, total=count, console=console)


def _score(trainer: Trainer, held_out: Sequence[Sample], names: tuple[str, ...]) -> dict[str, object]:
    return evaluate(torch_network(trainer.averaged), held_out, names, DecodeSettings()).as_dict()


def _log(run: Run, entry: dict[str, Any], console: Console) -> None:
    with run.log.open("a") as log:
        log.write(json.dumps(entry) + "\n")
    score = f" · held-out mAP50 {entry['held_out']['map50']:.3f}" if "held_out" in entry else ""
    console.print(f"{entry['seen']:>7,} crops · loss {entry['loss']:.2f} · {entry['crops_per_s']:.1f} crops/s{score}")
