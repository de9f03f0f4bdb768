"""The figures of the model card: real boards never trained on, drawn boards, and boards without a defect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.boxes import Image
from training.datasets.form import HELD_OUT, Sample, read_samples, read_templates
from training.evaluation.decode import DecodeSettings, decode
from training.evaluation.drawn import clean_boards, drawn_samples
from training.evaluation.evaluate import Network, Report, evaluate


@dataclass(frozen=True)
class MeasureSettings:
    """How many drawn boards to look at, and the confidence above which a box counts as a call."""

    drawn_boards: int = 120
    confidence: float = 0.25
    decode: DecodeSettings = DecodeSettings()


@dataclass(frozen=True)
class CleanCalls:
    """Calls on boards that have no defect: every one is false."""

    boards: int
    calls: int


@dataclass(frozen=True)
class Figures:
    """What a detector achieves."""

    held_out: Report
    drawn: Report
    clean_held_out: CleanCalls
    clean_drawn: CleanCalls

    def as_dict(self) -> dict[str, Any]:
        return {
            "held_out_deeppcb": self.held_out.as_dict(),
            "drawn_boards": self.drawn.as_dict(),
            "false_calls_on_clean_boards": {
                "held_out_templates": asdict(self.clean_held_out),
                "drawn": asdict(self.clean_drawn),
            },
        }


def measure(network: Network, class_names: tuple[str, ...], dataset: Path, settings: MeasureSettings) -> Figures:
    """Measure on the held-out part of the dataset and on drawn boards of 640x480 pixels."""

    def score(samples: Iterable[Sample]) -> Report:
        return evaluate(network, samples, class_names, settings.decode, settings.confidence)

    return Figures(
        held_out=score(read_samples(dataset, HELD_OUT)),
        drawn=score(drawn_samples(settings.drawn_boards)),
        clean_held_out=count_calls(network, read_templates(dataset, HELD_OUT), settings),
        clean_drawn=count_calls(network, clean_boards(settings.drawn_boards), settings),
    )


def count_calls(network: Network, clean: Iterable[Image], settings: MeasureSettings) -> CleanCalls:
    """The boxes at the settings' confidence on defect-free boards."""
    calls = [int((decode(network(image), settings.decode).confidences >= settings.confidence).sum()) for image in clean]
    return CleanCalls(len(calls), sum(calls))
