"""An eight-bit copy of an exported detector, made with NNCF: `evaluate` and `time` tell what it costs and saves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from simulator.assembled.design import make_design
from simulator.product import draw_side
from training.boxes import Image
from training.crops.assembled import TRAINED_DESIGNS
from training.datasets.form import Dataset
from training.evaluation.decode import to_blob

_PER_SOURCE = 100
_DESIGNS = 20
#: What turns the last layer's numbers into boxes and scores: too few steps of eight bits for pixels and probabilities.
_DECODING = (
    "dfl|Sub|Add|Mul|Div|Concat|Sigmoid|Softmax|Reshape|Slice|Split|Unsqueeze|Gather|Range|Shape|Expand|Transpose"
)


def quantize(model: Path, images: Iterable[Image], out: Path) -> None:
    """Write `out` (.xml, its weights beside it as .bin): all in eight bits but the decoding of the boxes.

    Raises:
        ModuleNotFoundError: NNCF is not installed (extra `int8`).
    """
    import nncf

    network = openvino.Core().read_model(model)
    samples = [to_blob(image) for image in images]
    quantized = nncf.quantize(
        network,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(patterns=[_decoding_of(network)], validate=False),
        subset_size=len(samples),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(quantized, out)


def calibration_images(dataset: Dataset) -> list[Image]:
    """What the ranges of the activations are taken from: pictures trained on, none of a test."""
    real = [sample.image for sample in spread(dataset.samples, _PER_SOURCE)]
    return [*real, *islice(_drawn(), _PER_SOURCE)] if dataset.bare_copper else real


def spread(samples: Sequence[Any], count: int) -> Sequence[Any]:
    """At most that many, evenly from first to last."""
    return samples[:: max(1, -(-len(samples) // count))]


def _drawn() -> Iterable[Image]:
    for seed in range(TRAINED_DESIGNS - _DESIGNS, TRAINED_DESIGNS):
        design = make_design(seed)
        for board in range(_PER_SOURCE // _DESIGNS):
            yield draw_side(design, seed * 10 + board, ["cold_joint", "missing_component", "spur"][: board % 4]).image


def _decoding_of(network: Any) -> str:
    """The end of the detection head, which is the last numbered layer of an Ultralytics network."""
    names = [operation.get_friendly_name() for operation in network.get_ops()]
    last = max((int(number) for name in names for number in re.findall(r"/model\.(\d+)/", name)), default=0)
    return rf".*/model\.{last}/({_DECODING}).*"


def unusable() -> str | None:
    """Why nothing can be quantized here, if so."""
    from importlib.util import find_spec

    return None if find_spec("nncf") else "NNCF is missing: pip install 'boardline[int8]' -c constraints.txt"


def file_sizes(out: Path) -> int:
    """Bytes of both files."""
    return int(np.sum([path.stat().st_size for path in (out, out.with_suffix(".bin"))]))
