"""The extent of a COCO segmentation: polygons, or run lengths, plain or compressed (cocoapi, common/maskApi.c)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

Extent = tuple[float, float, float, float]


def extent(segmentation: Any) -> Extent | None:
    """Corners x1, y1, x2, y2 in pixels; None for what is no segmentation, or an empty one."""
    try:
        if isinstance(segmentation, list):
            return _of_polygons(segmentation)
        if isinstance(segmentation, dict):
            return _of_runs(segmentation["counts"], int(segmentation["size"][0]))
    except (KeyError, TypeError, ValueError, IndexError):
        pass
    return None


def _of_polygons(polygons: Sequence[Sequence[float]]) -> Extent | None:
    xs = [float(x) for polygon in polygons for x in polygon[::2]]
    ys = [float(y) for polygon in polygons for y in polygon[1::2]]
    return (min(xs), min(ys), max(xs), max(ys)) if xs and ys else None


def _of_runs(counts: str | Sequence[int], height: int) -> Extent | None:
    """Runs of background and mask in turn, column after column."""
    runs = _unpack(counts) if isinstance(counts, str) else [int(count) for count in counts]
    ends = list(accumulate(runs))
    spans = [(start, end - 1) for start, end in zip(ends[::2], ends[1::2], strict=False) if end > start]
    if not spans:
        return None
    rows = [_rows(first, last, height) for first, last in spans]
    return (
        float(spans[0][0] // height),
        float(min(top for top, _ in rows)),
        float(spans[-1][1] // height + 1),
        float(max(bottom for _, bottom in rows) + 1),
    )


def _rows(first: int, last: int, height: int) -> tuple[int, int]:
    """A run that goes on in the next column reaches from edge to edge."""
    return (first % height, last % height) if first // height == last // height else (0, height - 1)


def _unpack(packed: Iterable[str]) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in packed:
        bits = ord(character) - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
