"""The parity check of an export: which images, which engines, and what is written down."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inference_subscriber.engines.base import DetectOptions, Placement
from inference_subscriber.engines.calibration import UNCALIBRATED
from inference_subscriber.engines.network import NetworkEngine
from inference_subscriber.engines.openvino_engine import OpenVinoEngine
from inference_subscriber.engines.torch_engine import TorchEngine
from pcb_bus.contract.messages import ModelRef
from training.boxes import Image
from training.datasets.form import Sample
from training.errors import ParityError
from training.evaluation.pictures import ASSEMBLED, DrawnSet, drawn_pictures
from training.exporting.parity import Output, Parity, Tolerance, compare, outputs, tolerance_for

IMAGES = 50
_DESIGNS = 5
_FIRST_DESIGN = 12_000
_EXACT = Placement("cpu", exact=True)
_OPTIONS = DetectOptions(calibration=UNCALIBRATED)

Pictures = Sequence[tuple[str, Image]]


def pictures_for(samples: Sequence[Sample], count: int = IMAGES) -> list[tuple[str, Image]]:
    """Half of them from the samples, evenly spread, as far as they go; drawn assembled boards for the rest."""
    step = max(1, len(samples) // max(1, count // 2))
    own = [(sample.name, _in_colour(sample.image)) for sample in samples[::step][: count // 2]]
    return [*own, *_drawn(count - len(own))]


def check_parity(checkpoint: Path, onnx: Path, pictures: Pictures, tolerance: Tolerance) -> dict[str, Any]:
    """The figures of every engine. Raises ParityError, with the worst deviations, when one lies outside."""
    reference = TorchEngine(checkpoint, _ref(checkpoint), _EXACT, _OPTIONS)
    known = outputs(reference, pictures)
    limit = tolerance_for(known, tolerance)
    compared: dict[str, Parity] = {}
    for name, engine in _exact_engines(onnx):
        compared[name] = _compared(reference, engine, known, pictures, limit)
        _require(compared[name], onnx, name)
    usual = OpenVinoEngine(onnx, _ref(onnx), Placement("cpu"), _OPTIONS)
    as_run = _compared(reference, usual, known, pictures, limit)
    return {
        "images": len(pictures),
        "tolerance": asdict(limit),
        "worst_box_px": max(parity.as_dict()["worst_box_px"] for parity in compared.values()),
        "worst_score": max(parity.as_dict()["worst_score"] for parity in compared.values()),
        "engines": {name: parity.as_dict() for name, parity in compared.items()},
        "for_information": {f"OpenVINO as the line runs it, {platform.machine()}": as_run.as_dict()},
    }


def _exact_engines(onnx: Path) -> Iterator[tuple[str, NetworkEngine]]:
    yield "OpenVINO FP32", OpenVinoEngine(onnx, _ref(onnx), _EXACT, _OPTIONS)
    if find_spec("onnxruntime") is not None:
        from inference_subscriber.engines.onnxruntime_engine import OnnxRuntimeEngine

        yield "ONNX Runtime FP32", OnnxRuntimeEngine(onnx, _ref(onnx), _EXACT, _OPTIONS)


def _compared(
    reference: NetworkEngine, engine: NetworkEngine, known: Sequence[Output], pictures: Pictures, limit: Tolerance
) -> Parity:
    if engine.names != reference.names:
        raise ParityError(f"{engine.model.name} knows {engine.names}, its checkpoint {reference.names}")
    return compare(known, outputs(engine, pictures), reference.names, limit)


def _require(parity: Parity, onnx: Path, engine: str) -> None:
    limit = parity.tolerance
    if not parity.detections:
        raise ParityError(
            f"{onnx.name} in {engine}: nothing is detected on {parity.images} images, so nothing is known"
        )
    if not parity.holds:
        worst = "\n".join(f"  {deviation}" for deviation in parity.worst())
        raise ParityError(
            f"{onnx.name} in {engine} differs from its checkpoint in {len(parity.deviations)} places on "
            f"{parity.images} images by more than {limit.box_px:g} px or {limit.score:.2g}:\n{worst}"
        )


def _drawn(count: int) -> Iterator[tuple[str, Image]]:
    if not count:
        return
    chosen = DrawnSet(ASSEMBLED, count, _FIRST_DESIGN, min(_DESIGNS, count))
    for picture in islice(drawn_pictures(chosen), count):
        yield picture.sample.name, picture.sample.image


def _in_colour(image: Image) -> Image:
    return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)


def _ref(path: Path) -> ModelRef:
    return ModelRef(name=path.name, sha256="0" * 64)
