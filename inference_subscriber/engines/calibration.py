"""What a model's card says of its confidences: one temperature, and a least confidence for each class."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from pcb_bus.contract.codec import first_error
from pcb_bus.contract.messages import Name
from pcb_bus.errors import ConfigError

CARD = "card.json"
Shares = npt.NDArray[np.floating[Any]]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a network's scores become confidences (Guo et al. 2017, temperature scaling), and which of them count.

    Args:
        temperature: over 1 where the network is too sure of itself.
        thresholds: least confidence by class, as chosen on validation data; a class without one has the usual.
    """

    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def confidence(self, scores: Shares) -> Shares:
        """sigmoid(logit(score) / temperature) of each."""
        return _power_odds(scores, 1 / self.temperature)

    def score(self, confidence: float) -> float:
        """The network's score that has this confidence."""
        return float(_power_odds(np.array([confidence]), self.temperature)[0])


UNCALIBRATED = Calibration()


def read_calibration(model: Path, sha256: str) -> Calibration:
    """That of the card beside `model`; none where no card speaks of weights with this checksum.

    Raises:
        ConfigError: the card cannot be used; names the key.
    """
    path = model.parent / CARD
    if not path.is_file():
        return UNCALIBRATED
    try:
        card = _Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"inference.model: cannot read {path}: {error.strerror}") from None
    except ValidationError as error:
        raise ConfigError(f"inference.model: {path}: {first_error(error)}") from None
    if card.calibration is None or sha256 not in {file.sha256 for file in card.files.values()}:
        return UNCALIBRATED
    return Calibration(card.calibration.temperature, card.calibration.thresholds)


class _File(BaseModel):
    sha256: str


class _Calibration(BaseModel):
    temperature: Annotated[float, Field(ge=0.05, le=20, allow_inf_nan=False)]
    thresholds: dict[Name, _Share]


class _Card(BaseModel):
    files: dict[str, _File] = Field(default_factory=dict)
    calibration: _Calibration | None = None


def _power_odds(shares: Shares, exponent: float) -> Shares:
    """The shares whose odds are those of `shares` raised to a power; 0 and 1 stay."""
    if exponent == 1:
        return shares
    for_it, against = shares**exponent, (1 - shares) ** exponent
    return np.asarray(for_it / (for_it + against))
