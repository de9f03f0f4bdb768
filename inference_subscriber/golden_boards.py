"""The golden boards of a line: read at start, asked for each frame of their side."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from inference_subscriber.copper import Grey
from inference_subscriber.engines.base import Findings, Image
from inference_subscriber.errors import NotComparable
from inference_subscriber.golden import GoldenBoard
from pcb_bus.contract.taxonomy import CopperNames, Taxonomy
from pcb_bus.errors import ConfigError

OnTrouble = Callable[[str, str], None]
"""Told of a side whose frames cannot be compared, and why; of nothing once they can again."""

_LEAST = 64  # pixels of the shorter side: as little as registration can make something of


class GoldenBoards:
    """By side; a side without a golden board is left as it is. Not for several threads at once."""

    def __init__(self, boards: Mapping[str, GoldenBoard], on_trouble: OnTrouble) -> None:
        self._boards = boards
        self._on_trouble = on_trouble

    def review(self, side: str, frame: Image, findings: Findings) -> Findings:
        """The findings with the detections that the golden board leaves; as they are where it cannot be compared."""
        board = self._boards.get(side)
        if board is None:
            return findings
        try:
            reviewed = replace(findings, detections=board.review(frame, findings.detections))
        except NotComparable as reason:
            self._on_trouble(side, str(reason))
            return findings
        self._on_trouble(side, "")
        return reviewed


def open_golden_boards(pictures: Mapping[str, Path], taxonomy: Taxonomy) -> dict[str, GoldenBoard]:
    """Read the pictures of `inference.golden`.

    Raises:
        ConfigError: a picture that cannot be used, or no names for what changed.
    """
    if not pictures:
        return {}
    if taxonomy.copper is None:
        raise ConfigError("inference.golden: the taxonomy has no section copper, which names what changed")
    return {side: _open(side, path, taxonomy.copper, taxonomy.minor) for side, path in pictures.items()}


def _open(side: str, path: Path, names: CopperNames, minor: Collection[str]) -> GoldenBoard:
    try:
        return GoldenBoard(_read(path), names, minor)
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except ValueError as error:
        reason = str(error)
    raise ConfigError(f"inference.golden.{side}: {path}: {reason}")


def _read(path: Path) -> Grey:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    if picture is None:
        raise ValueError("not a picture")
    if min(picture.shape) < _LEAST:
        raise ValueError(f"{picture.shape[1]} x {picture.shape[0]} pixels, fewer than {_LEAST}")
    return np.asarray(picture, np.uint8)
