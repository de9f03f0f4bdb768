"""Precision-recall curves: their points, and a drawing of them that needs no library to be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.evaluation.calibrate import Floats

POINTS = 41
_WIDTH, _HEIGHT, _GAP = 150, 110, 34
_COLUMNS = 4


@dataclass(frozen=True)
class Curve:
    """One class: precision at 41 recalls from 0 to 1 (0 where it is not reached), and where its threshold lies."""

    precision: tuple[float, ...]
    recall_at_threshold: float
    precision_at_threshold: float


def curve(hits: Floats, others: Floats, truths: int, threshold: float) -> Curve:
    """From the confidences of the hits and of all other detections of a class that has `truths` defects."""
    confidences = np.concatenate([hits, others])
    right = np.concatenate([np.ones(len(hits)), np.zeros(len(others))])[np.argsort(-confidences, kind="stable")]
    found = np.cumsum(right)
    precision = np.maximum.accumulate((found / np.arange(1, len(right) + 1))[::-1])[::-1]
    at = np.searchsorted(found / max(truths, 1), np.linspace(0, 1, POINTS) - 1e-9)
    values = [float(precision[index]) if index < len(precision) else 0.0 for index in at]
    through, stray = int((hits >= threshold).sum()), int((others >= threshold).sum())
    return Curve(
        tuple(round(value, 4) for value in values),
        round(through / truths, 4) if truths else 0.0,
        round(through / (through + stray), 4) if through else 0.0,
    )


def draw(curves: Mapping[str, Mapping[str, Any]]) -> str:
    """An SVG: one small diagram for each class, with a dot at its threshold."""
    rows = -(-len(curves) // _COLUMNS)
    width, height = _COLUMNS * (_WIDTH + _GAP) + _GAP, rows * (_HEIGHT + _GAP + 12) + _GAP
    panels = [_panel(name, each, index) for index, (name, each) in enumerate(curves.items())]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
    return "\n".join(
        [f'{head} font-size="10">', f'<rect width="{width}" height="{height}" fill="#fff"/>', *panels, "</svg>", ""]
    )


def _panel(name: str, each: Mapping[str, Any], index: int) -> str:
    x = _GAP + index % _COLUMNS * (_WIDTH + _GAP)
    y = _GAP + index // _COLUMNS * (_HEIGHT + _GAP + 12)
    line = " ".join(f"{_x(recall):.1f},{_y(value):.1f}" for recall, value in _reached(each["precision"]))
    dot_x, dot_y = _x(each["recall_at_threshold"]), _y(each["precision_at_threshold"])
    return (
        f'<g transform="translate({x},{y})"><text y="-6" fill="#222">{name}</text>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#bbb"/>'
        f'<polyline points="{line}" fill="none" stroke="#0a6ebd" stroke-width="1.5"/>'
        f'<circle cx="{dot_x:.1f}" cy="{dot_y:.1f}" r="3" fill="#c2410c"/>'
        f'<text y="{_HEIGHT + 12}" fill="#666">recall 0 to 1</text>'
        f'<text transform="translate(-5,{_HEIGHT}) rotate(-90)" fill="#666">precision 0.5 to 1</text></g>'
    )


def _reached(precision: Sequence[float]) -> list[tuple[float, float]]:
    return [(index / (POINTS - 1), value) for index, value in enumerate(precision) if value > 0]


def _x(recall: float) -> float:
    return recall * _WIDTH


def _y(precision: float) -> float:
    """The axis begins at 0.5: below, a detector is of no use."""
    return (1 - max(precision, 0.5)) * 2 * _HEIGHT
