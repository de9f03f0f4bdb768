"""Which of the configured anomaly files this line can use; the others are refused, each with one reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from inference_subscriber.anomaly.file import load
from inference_subscriber.anomaly.model import AnomalyModel
from inference_subscriber.anomaly.padim import Floats
from inference_subscriber.errors import AnomalyRefused
from pcb_bus.contract.messages import ModelRef


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an anomaly file must be for.

    Args:
        product: None: any, but the same on all sides.
        model: the detector of this line.
        max_input: pixels of a frame's longer side at the network's input.
    """

    product: str | None
    model: ModelRef
    max_input: int


@dataclass(frozen=True, slots=True)
class Choice:
    """By side: what can be used, and why what cannot be is refused."""

    models: Mapping[str, AnomalyModel] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the feature maps that these need."""
        return tuple(sorted({model.stride for model in self.models.values()}))

    @property
    def projections(self) -> dict[int, Floats]:
        """By stride: what all models reduce their maps by, where that is one matrix."""
        by_stride: dict[int, list[Floats]] = {}
        for model in self.models.values():
            by_stride.setdefault(model.stride, []).append(model.scorer.projection)
        return {
            stride: each[0] for stride, each in by_stride.items() if all(np.array_equal(each[0], one) for one in each)
        }


def choose(files: Mapping[str, Path], wanted: Wanted) -> Choice:
    """Read the file of each side. Where no product is asked for, the first file that fits decides which it is."""
    models: dict[str, AnomalyModel] = {}
    refused: dict[str, str] = {}
    product = wanted.product
    for side, path in files.items():
        try:
            model = load(path)
            _check(model, side, path, Wanted(product, wanted.model, wanted.max_input))
        except AnomalyRefused as refusal:
            refused[side] = str(refusal)
        else:
            models[side], product = model, model.subject.product
    return Choice(models, refused)


def without_maps(choice: Choice, given: tuple[int, ...]) -> Choice:
    """What is left of a choice for an engine that hands over feature maps of these strides only."""
    models = {side: model for side, model in choice.models.items() if model.stride in given}
    lost = {
        side: f"the detector hands over no feature maps of stride {model.stride}: export it again"
        for side, model in choice.models.items()
        if side not in models
    }
    return Choice(models, {**choice.refused, **lost})


def _check(model: AnomalyModel, side: str, path: Path, wanted: Wanted) -> None:
    subject = model.subject
    if subject.side != side:
        raise AnomalyRefused(f"{path} is of the side {subject.side}")
    if wanted.product not in {None, subject.product}:
        raise AnomalyRefused(f"{path} is of the product {subject.product}, not {wanted.product}")
    if subject.model.sha256 != wanted.model.sha256:
        theirs, ours = (f"{each.name} ({each.sha256[:12]})" for each in (subject.model, wanted.model))
        raise AnomalyRefused(f"{path} was fitted with the detector {theirs}, not with {ours}: fit it again")
    if subject.max_input != wanted.max_input:
        raise AnomalyRefused(f"{path} was fitted at inference.max_input {subject.max_input}, not {wanted.max_input}")
