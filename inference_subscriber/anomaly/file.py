"""The file of one product and side: a `.npz` of plain arrays, none of them pickled."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from inference_subscriber.anomaly.memory import Memory
from inference_subscriber.anomaly.model import AnomalyModel, Calibration, Subject
from inference_subscriber.anomaly.padim import Gaussians
from inference_subscriber.errors import AnomalyRefused
from pcb_bus.contract.messages import ModelRef

FORMAT: Final = 1
_PADIM, _MEMORY = "padim", "memory"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, ValidationError)


def save(model: AnomalyModel, path: Path) -> None:
    """Write `path`, whole or not at all."""
    subject, calibration = model.subject, model.calibration
    partial = path.with_name(f".{path.name}.partial")
    arrays: dict[str, Any] = {
        "format": FORMAT,
        "product": subject.product,
        "side": subject.side,
        "model_name": subject.model.name,
        "model_sha256": subject.model.sha256,
        "frame_size": (subject.width, subject.height),
        "max_input": subject.max_input,
        "stride": model.stride,
        "threshold": calibration.threshold,
        "false_call_rate": calibration.false_call_rate,
        "good_boards": calibration.good_boards,
        "held_out": calibration.held_out,
        **_statistics(model.scorer),
    }
    if model.reference is not None:
        arrays["reference"] = model.reference
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    partial.replace(path)


def load(path: Path) -> AnomalyModel:
    """Read a file that `save` wrote.

    Raises:
        AnomalyRefused: it cannot be read, or is of another format.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if arrays["format"] != FORMAT:
                raise AnomalyRefused(f"{path} has format {arrays['format']}, this version reads {FORMAT}: fit it again")
            return _model(arrays)
    except AnomalyRefused:
        raise
    except _UNREADABLE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no anomaly file, or a broken one"
        raise AnomalyRefused(f"{path} cannot be read: {reason}") from None


def _model(arrays: Mapping[str, Any]) -> AnomalyModel:
    width, height = (int(each) for each in arrays["frame_size"])
    weights = ModelRef(name=str(arrays["model_name"]), sha256=str(arrays["model_sha256"]))
    subject = Subject(str(arrays["product"]), str(arrays["side"]), weights, width, height, int(arrays["max_input"]))
    held_out = tuple(float(each) for each in arrays["held_out"])
    rate, boards = float(arrays["false_call_rate"]), int(arrays["good_boards"])
    calibration = Calibration(float(arrays["threshold"]), rate, boards, held_out)
    reference = arrays.get("reference")
    if reference is not None and reference.shape != (height, width, 3):
        raise ValueError("reference and frame differ in size")
    model = AnomalyModel(subject, calibration, _scorer(arrays), int(arrays["stride"]), reference)
    if isinstance(model.scorer, Gaussians) and model.scorer.shape != model.grid_shape:
        raise ValueError("statistics of another grid than the frame's")
    return model


def _statistics(scorer: Gaussians | Memory) -> dict[str, Any]:
    if isinstance(scorer, Memory):
        return {"kind": _MEMORY, "projection": scorer.projection, "entries": scorer.entries, "scale": scorer.scale}
    names = {"mean": scorer.mean, "whitening": scorer.whitening, "shape": scorer.shape}
    return {"kind": _PADIM, "projection": scorer.projection, **names}


def _scorer(arrays: Mapping[str, Any]) -> Gaussians | Memory:
    projection = arrays["projection"]
    if arrays["kind"] == _MEMORY:
        return Memory(projection, arrays["entries"], float(arrays["scale"]))
    rows, columns = (int(each) for each in arrays["shape"])
    mean, whitening = arrays["mean"], arrays["whitening"]
    dimensions, places = len(projection), rows * columns
    if mean.shape != (dimensions, places) or whitening.shape != (dimensions, dimensions, places):
        raise ValueError("statistics of different sizes")
    return Gaussians(projection, mean, whitening, (rows, columns))
