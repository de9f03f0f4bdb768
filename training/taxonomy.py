"""Which classes a detector may know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pcb_bus.contract.taxonomy import load_taxonomy
from pcb_bus.runtime.settings import DEFAULT_TAXONOMY
from training.errors import TrainingError


def refuse_unknown(class_names: Iterable[str], source: object) -> None:
    """Raises TrainingError with the names that the taxonomy does not know: the line would refuse such a detector."""
    if unknown := load_taxonomy(Path(__file__).parents[1] / DEFAULT_TAXONOMY).unknown_classes(class_names):
        raise TrainingError(f"{source}: classes unknown to {DEFAULT_TAXONOMY}: {', '.join(unknown)}")
