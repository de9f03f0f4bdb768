"""One YOLO label file: `class x_centre y_centre width height` a line, or `class x1 y1 x2 y2 x3 y3 …` for an outline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.datasets.findings import Finding, Kind
from training.datasets.records import LabelBox


def parse_labels(path: Path, name: str, class_names: Sequence[str], findings: list[Finding]) -> tuple[LabelBox, ...]:
    """The boxes of a file, as shares of the image; lines that are none go to the findings by name and number."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        findings.append(Finding(Kind.BAD_LABEL, name, "not a text file"))
        return ()
    numbered = ((f"{name}:{number}", line) for number, line in enumerate(lines, 1) if line.strip())
    boxes = (_parse_line(line, where, class_names, findings) for where, line in numbered)
    return tuple(box for box in boxes if box)


def _parse_line(line: str, where: str, class_names: Sequence[str], findings: list[Finding]) -> LabelBox | None:
    try:
        index, *shares = (float(field) for field in line.split())
    except ValueError:
        findings.append(Finding(Kind.BAD_LABEL, where, f"not numbers: {line!r}"))
        return None
    if not index.is_integer() or not 0 <= index < len(class_names):
        findings.append(Finding(Kind.CLASS_INDEX, where, f"{index:g} is none of 0 to {len(class_names) - 1}"))
        return None
    corners = _corners(shares)
    if corners is None:
        message = f"neither `class x y width height` nor an outline: {line!r}"
        findings.append(Finding(Kind.BAD_LABEL, where, message))
        return None
    if len(shares) > 4:
        findings.append(Finding(Kind.OUTLINE, where, f"{len(shares) // 2} corners"))
    return LabelBox(class_names[int(index)], *corners, where)


def _corners(shares: Sequence[float]) -> tuple[float, float, float, float] | None:
    if len(shares) == 4:
        x, y, width, height = shares
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(shares) >= 6 and len(shares) % 2 == 0:
        return min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2])
    return None
