"""`export` of `python -m training`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from inference_subscriber.engines import digest
from pcb_bus.contract.messages import ModelRef
from training.datasets.form import HELD_OUT, is_form, read_held_out_groups, read_samples
from training.errors import ParityError, TrainingError
from training.evaluation.card import RunRecord, new_card, read_run, with_results, write_card
from training.evaluation.result import RESULTS, Result, new_result, shown_path, write_result
from training.export import export_onnx
from training.exporting.check import check_parity, pictures_for
from training.exporting.parity import Tolerance
from training.network import load_weights, save_weights
from training.runs.folder import Run
from training.runs.record import read_rounds, read_settings
from training.taxonomy import refuse_unknown

_IMAGE_SIZE = 320


@dataclass(frozen=True)
class Target:
    """The files of an export."""

    folder: Path
    name: str

    @property
    def onnx(self) -> Path:
        return self.folder / f"{self.name}.onnx"

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.pt"


def export(options: argparse.Namespace, console: Console) -> int:
    """Status 1, and nothing written, when the export does not give what the checkpoint gives.

    The card is new and has no figures but the check's: `calibrate` and `card` add them.
    """
    if options.parity_images < 1:
        raise TrainingError(f"--parity-images: {options.parity_images} is less than 1")
    run = Run(options.work / options.run)
    weights = options.weights or run.to_use
    if not weights.is_file():
        raise FileNotFoundError(f"no weights {weights}: name a trained run (--run) or a checkpoint (--weights)")
    network = load_weights(weights)
    refuse_unknown(network.names.values(), weights)
    out = options.out or Path("models") / (options.weights.stem if options.weights else run.folder.name)
    target = Target(out, options.name or out.name)
    data = _dataset_of(run, options)
    samples = read_samples(data, HELD_OUT) if data else []
    try:
        figures = export_checked(network, weights, target, pictures_for(samples, options.parity_images))
    except ParityError as error:
        console.print(f"not exported: {error}", style="red", soft_wrap=True, highlight=False)
        return 1
    result = new_result("parity", f"make export OUT={shown_path(str(out))}", _reference(target), figures)
    write_result(result, options.json or RESULTS / "parity.json")
    _write_card(target, _run_of(weights, data), network, result, options)
    _say(target, figures, data, console)
    return 0


def export_checked(network: Any, weights: Path, target: Target, images: list[tuple[str, Any]]) -> dict[str, Any]:
    """Write both files once their parity is proven; returns the check's figures. Raises ParityError.

    Until then they lie in a folder of their own, so that a model in use is never half replaced.
    """
    target.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.folder.parent) as folder:
        made = Target(Path(folder), target.name)
        if hasattr(network.model[-1], "one2one_cv2"):  # its file would have it suppress doubles itself
            save_weights(network, made.checkpoint, _IMAGE_SIZE)
        else:
            shutil.copyfile(weights, made.checkpoint)
        export_onnx(made.checkpoint, made.onnx)
        figures = check_parity(made.checkpoint, made.onnx, images, Tolerance())
        made.checkpoint.replace(target.checkpoint)
        made.onnx.replace(target.onnx)
    return figures


def _dataset_of(run: Run, options: argparse.Namespace) -> Path | None:
    """Where the run's own pictures are, for the check; None where they cannot be had: drawn ones serve as well."""
    settings = read_settings(run)
    places = [Path(settings.data)] if settings else [options.data, options.work / "dataset"]
    return next((place for place in places if is_form(place)), None)


def _run_of(weights: Path, data: Path | None) -> RunRecord:
    """What is known of the training; nothing of weights from elsewhere."""
    if not read_rounds(weights.parent / "rounds.jsonl"):
        return RunRecord(0, 0.0)
    return read_run(weights.parent, read_held_out_groups(data) if data else frozenset())


def _write_card(target: Target, run: RunRecord, network: Any, result: Result, options: argparse.Namespace) -> None:
    names = list(network.names.values())
    card = new_card(run, [target.onnx, target.checkpoint], names, options.machine, options.notes)
    described = Path(str(network.yaml.get("yaml_file", "unnamed"))).stem
    card, _ = with_results(card | {"architecture": f"{described} (Ultralytics)"}, [result])
    write_card(target.folder, card)


def _reference(target: Target) -> ModelRef:
    return ModelRef(name=target.name, sha256=digest(target.onnx))


def _say(target: Target, figures: dict[str, Any], data: Path | None, console: Console) -> None:
    for name, parity in {**figures["engines"], **figures["for_information"]}.items():
        console.print(
            f"{name}: {parity['detections']} detections on {parity['images']} images, boxes within "
            f"{parity['worst_box_px']:.2f} px, scores within {parity['worst_score']:.4f}"
            + (f", {parity['deviations']} further away" if parity["deviations"] else ""),
            soft_wrap=True,
        )
    console.print(f"exported: {target.onnx}", soft_wrap=True)
    own = f" DATA={data} SPLIT=val" if data and not read_held_out_groups(data) else ""
    console.print(f"thresholds for it: make calibrate MODEL={target.onnx}{own}", soft_wrap=True)
