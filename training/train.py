"""A whole training run in its folder: rounds, checkpoints, scores on the held-out part, best and last weights."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from inference_subscriber.engines.base import DetectOptions
from training.boxes import Image
from training.checkpoint import read_checkpoint
from training.crops.stream import classes_of
from training.datasets.errors import DatasetError
from training.datasets.form import TRAIN, VAL, Dataset, read_dataset
from training.errors import TrainingError
from training.evaluation.decode import DecodeSettings, to_blob
from training.evaluation.evaluate import Network, evaluate
from training.loop import Round, Trainer, TrainSettings
from training.network import load_weights, save_weights
from training.runs.folder import Run
from training.runs.length import rounds_between_scores, with_length
from training.runs.plan import Wish, settings_for
from training.runs.progress import TIMED_STEPS, Budget, Watch
from training.runs.record import RunSettings, add_round, best_score, read_settings, write_settings
from training.runs.stopping import Stop, stop_on_signals
from training.taxonomy import refuse_unknown


def train(dataset: Path, run: Run, wish: Wish, console: Console) -> bool:
    """Train to the end of the run; False when somebody stopped it before. An earlier run in the folder is set aside.

    Raises:
        FileNotFoundError: there is nothing to resume, or no such start.
        TrainingError: the run, the architecture, the start or the device cannot be used.
        DatasetError: there is nothing to learn from.
    """
    trained, held_out = read_dataset(dataset, TRAIN), read_dataset(dataset, VAL)
    refuse_unknown(trained.class_names, dataset / "data.yaml")
    if not any(sample.classes for sample in trained.samples):
        raise DatasetError(f"{dataset}: not one labelled defect to learn from")
    if not any(sample.classes for sample in held_out.samples):
        raise DatasetError(f"{dataset}: not one labelled defect in val, so no weights could be told from worse ones")
    earlier = read_settings(run) if wish.resume else None
    settings = settings_for(wish, trained, earlier)
    names = tuple(read_checkpoint(run.checkpoint)["class_names"]) if wish.resume else class_names(trained, settings)
    if stray := {name for sample in (*trained.samples, *held_out.samples) for name in sample.classes} - set(names):
        raise TrainingError(f"{dataset}: {run.folder} knows no {', '.join(sorted(stray))}: start anew without --resume")
    trainer = Trainer(settings, names)
    if not wish.resume and (kept := run.set_aside()) is not None:
        console.print(f"the earlier run is kept as {kept}")
    with run.claimed(), stop_on_signals() as stop:
        if wish.resume:
            trainer.resume(run.checkpoint)
        _record(run, dataset, trainer, trained, held_out)
        _say_what_starts(trainer, trained, held_out, console)
        return _Session(run, trainer, trained, held_out, console).go(stop, wish.seconds)


def class_names(trained: Dataset, settings: TrainSettings) -> tuple[str, ...]:
    """What the detector will know: the classes of its start, so that its head serves on, else those of the sources.

    A start that does not know all of the dataset's classes gives up its head.
    """
    shown = classes_of(settings.mix, trained.class_names)
    if settings.start is not None:
        known = tuple(load_weights(settings.start).names.values())
        if set(shown) <= set(known):
            return known
    return shown


def torch_network(network: Any) -> Network:
    """The network as `evaluate` takes it."""
    device = next(network.parameters()).device

    def infer(image: Image) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            output = network(torch.from_numpy(to_blob(image)).to(device))
        return np.asarray((output[0] if isinstance(output, tuple) else output)[0].cpu().numpy())

    return infer


class _Session:
    """The rounds of one process."""

    def __init__(self, run: Run, trainer: Trainer, trained: Dataset, held_out: Dataset, console: Console) -> None:
        self._run = run
        self._trainer = trainer
        self._trained = trained
        self._held_out = held_out
        self._console = console
        self._rounds = 0
        self._best = best_score(run)

    def go(self, stop: Stop, seconds: float | None) -> bool:
        if self._trainer.knows_its_job and not self._trainer.seen:
            self._score_start()
        if seconds is not None:  # be it finished: its first steps say how much longer it gets
            self._make_room(TIMED_STEPS)
        watch = Watch(self._trainer, Budget(seconds, self._score_seconds), stop, self._console)
        while not self._trainer.is_finished() and not stop.asked:
            before = self._trainer.seen
            done = self._trainer.run_round(self._trained, watch)
            self._trainer.save(self._run.checkpoint)
            save_weights(self._trainer.averaged, self._run.weights, self._trainer.settings.crop.size)
            if done.seen > before:
                self._close_round(done, scored=not stop.asked)
        return self._trainer.is_finished()

    def _make_room(self, steps: int) -> None:
        settings = self._trainer.settings
        least = self._trainer.seen + steps * settings.batch_size
        if settings.crops < least:
            self._trainer.settings = with_length(settings, least)

    def _score_start(self) -> None:
        """A short run on few pictures may end worse than it began: then the weights that it began with are kept."""
        entry: dict[str, Any] = {"seen": 0, "held_out": self._score(), "seconds": self._trainer.seconds}
        entry["best"] = self._keep_if_best(float(entry["held_out"]["map50_95"]))
        add_round(self._run.log, entry)
        self._console.print(f"      0 crops · as it begins: held-out mAP50 {entry['held_out']['map50']:.3f}")

    def _close_round(self, done: Round, *, scored: bool) -> None:
        self._rounds += 1
        trainer = self._trainer
        entry: dict[str, Any] = {
            "seen": done.seen,
            "loss": done.loss,
            "rate": done.rate,
            "crops_per_s": done.crops_per_second,
        }
        due = trainer.is_finished() or self._rounds % rounds_between_scores(trainer.settings) == 0
        if scored and due:
            entry["held_out"] = self._score()
            entry["best"] = self._keep_if_best(float(entry["held_out"]["map50_95"]))
        add_round(self._run.log, entry | {"seconds": trainer.seconds})
        self._say(entry)

    def _score(self) -> dict[str, Any]:
        network = torch_network(self._trainer.averaged)
        return evaluate(network, self._held_out.samples, self._trainer.class_names, DecodeSettings()).as_dict()

    def _keep_if_best(self, score: float) -> bool:
        if score <= self._best:
            return False
        self._best = score
        save_weights(self._trainer.averaged, self._run.best, self._trainer.settings.crop.size)
        return True

    def _score_seconds(self) -> float:
        """What one look at the held-out part takes, judged by its first picture, the second time."""
        network, image = torch_network(self._trainer.averaged), self._held_out.samples[0].image
        network(image)
        started = time.monotonic()
        network(image)
        return (time.monotonic() - started) * len(self._held_out.samples)

    def _say(self, entry: dict[str, Any]) -> None:
        score = f" · held-out mAP50 {entry['held_out']['map50']:.3f}" if "held_out" in entry else ""
        best = " · best so far" if entry.get("best") else ""
        pace = f"{entry['crops_per_s']:.1f} crops/s"
        self._console.print(f"{entry['seen']:>7,} crops · loss {entry['loss']:.2f} · {pace}{score}{best}")


def _record(run: Run, dataset: Path, trainer: Trainer, trained: Dataset, held_out: Dataset) -> None:
    settings = trainer.settings
    known = read_settings(run)
    started_from = known.start if known else str(settings.start or "")
    defects = Counter(name for sample in trained.samples for name in sample.classes)
    recorded = RunSettings(
        str(dataset),
        settings.architecture,
        settings.crops,
        settings.round_crops,
        settings.batch_size,
        settings.seed,
        started_from,
        trainer.class_names,
        len(trained.samples),
        len(held_out.samples),
        dict(defects),
    )
    write_settings(run, recorded)


def _say_what_starts(trainer: Trainer, trained: Dataset, held_out: Dataset, console: Console) -> None:
    taken, whole = trainer.transferred
    start = f"{trainer.settings.start}, {taken} of {whole} tensors" if trainer.settings.start else "fresh weights"
    if trainer.seen:
        start = f"its checkpoint at {trainer.seen:,} crops"
    console.print(
        f"{len(trained.samples)} pictures to learn from, {len(held_out.samples)} held out · "
        f"{trainer.settings.architecture} on {trainer.device}, from {start}",
        soft_wrap=True,
    )
    longest = max(max(sample.image.shape[:2]) for sample in (*trained.samples, *held_out.samples))
    if longest > (usual := DetectOptions().max_input):
        console.print(
            f"pictures of up to {longest} pixels are learnt from unscaled; the line shrinks frames to {usual} unless "
            f"inference.max_input is {longest}: then give evaluate and calibrate --max-input {longest} too",
            soft_wrap=True,
        )
