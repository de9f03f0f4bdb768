"""Where a YOLO dataset keeps what belongs to an image."""

from __future__ import annotations

from pathlib import Path

from training.datasets.records import IMAGE_SUFFIXES


def labels_of(image: Path) -> Path:
    """As Ultralytics looks for them: the last `images` folder of the path becomes `labels`."""
    return _beside(image, "labels").with_suffix(".txt")


def template_of(image: Path) -> Path | None:
    """The defect-free picture of the same board, in the project's own form."""
    beside = _beside(image, "templates")
    if beside == image:
        return None
    return next((p for s in sorted(IMAGE_SUFFIXES) if (p := beside.with_suffix(s)).is_file()), None)


def _beside(image: Path, kind: str) -> Path:
    parts = list(image.parts)
    last = max((i for i, part in enumerate(parts[:-1]) if part == "images"), default=None)
    if last is not None:
        parts[last] = kind
    return Path(*parts)


def roboflow_group(image: Path) -> str | None:
    """Roboflow makes `x.rf.<hash>.jpg` several times out of one picture x, each spoiled in another way."""
    original, mark, _ = image.name.partition(".rf.")
    return original if mark else None
