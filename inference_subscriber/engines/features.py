"""Feature maps: what the backbone of a detector sees, from the same forward pass as its boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import Detection, Engine, Findings, Image

FeatureMap = npt.NDArray[np.float32]
"""Channels x height x width."""
STRIDES: Final = (8, 16)
"""Pixels of the network's input from one place of a map to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one image shows, and what further evidence is weighed with.

    Args:
        features: by stride, those that were asked for and that the model has; reduced where the engine did that.
        doubtful: boxes down to the confidence that was asked for, those that count among them, the surest first.
    """

    findings: Findings
    features: Mapping[int, FeatureMap] = field(default_factory=dict)
    doubtful: tuple[Detection, ...] = ()


class FeatureEngine(Engine, Protocol):
    """An engine that can hand over feature maps."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the maps that it hands over."""

    def look(self, images: Sequence[Image]) -> list[Look]:
        """As `detect`, with feature maps. They may be overwritten by the next call."""


def output_name(stride: int) -> str:
    """How a model file calls the output."""
    return f"features_{stride}"
