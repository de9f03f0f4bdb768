"""The figures of a dataset, for the console, for `dataset.json` and for the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from training.datasets.examine import Examined
from training.datasets.findings import Level, by_kind, count
from training.datasets.parts import class_counts
from training.datasets.records import HELD_OUT, TEST, TRAIN, VAL

#: Edges of the histogram of box sizes, in pixels: the side of a square of the same area.
SIZE_EDGES = (0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)


def parts_of(examined: Examined) -> tuple[str, ...]:
    """The parts that there are, train first."""
    present = set(examined.parts)
    return tuple(part for part in (TRAIN, VAL, HELD_OUT, TEST) if part in present)


def part_table(examined: Examined) -> list[dict[str, Any]]:
    """Images, good boards, boxes, and boxes of each class, for each part."""
    counts = class_counts(examined.boards, examined.parts)
    rows = []
    for part in parts_of(examined):
        boards = [board for board, place in zip(examined.boards, examined.parts, strict=True) if place == part]
        rows.append(
            {
                "part": part,
                "images": len(boards),
                "good_boards": sum(not board.classes for board in boards),
                "boxes": counts[part].total(),
                "classes": {name: counts[part][name] for name in examined.class_names},
            }
        )
    return rows


def image_sizes(examined: Examined) -> list[tuple[str, int]]:
    """Sizes of images, and how many have each; the most frequent first."""
    sizes = Counter(f"{board.picture.width}x{board.picture.height}" for board in examined.boards)
    return sizes.most_common()


def box_sides(examined: Examined) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """For each box the side of a square of its area, in pixels."""
    boxes = np.concatenate([board.boxes for board in examined.boards] or [np.empty((0, 4))])
    return np.asarray(np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))


def size_histogram(sides: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[tuple[str, int]]:
    """How many sides fall between which of the edges."""
    counts, _ = np.histogram(sides, [*SIZE_EDGES, np.inf])
    labels = [f"{low}-{high}" for low, high in pairwise(SIZE_EDGES)]
    return list(zip([*labels, f"{SIZE_EDGES[-1]}+"], counts.tolist(), strict=True))


def as_dict(examined: Examined) -> dict[str, Any]:
    """All figures and all findings."""
    sides = box_sides(examined)
    return {
        "source": {"name": examined.source.root.name, "layout": examined.source.layout},
        "sound": examined.is_sound,
        "errors": count(examined.findings, Level.ERROR),
        "warnings": count(examined.findings, Level.WARNING),
        "classes": list(examined.class_names),
        "parts": part_table(examined),
        "image_sizes": dict(image_sizes(examined)),
        "box_sides": dict(size_histogram(sides)),
        "smallest_box_side": round(float(sides.min()), 2) if len(sides) else None,
        "findings": [
            {"kind": kind.name.lower(), "level": str(kind.level), "where": each.where, "message": each.message}
            for kind, found in by_kind(examined.findings).items()
            for each in found
        ],
    }
