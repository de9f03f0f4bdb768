"""Reads the YOLO layout as Ultralytics has it: `data.yaml`, and beside each `images` folder one of `labels`.

The project's own form is one of these, with templates. A folder of `images` and `labels` with a `classes.txt` will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from training.datasets.errors import DatasetError
from training.datasets.findings import Finding, Kind
from training.datasets.layouts.yolo_labels import parse_labels
from training.datasets.layouts.yolo_places import labels_of, roboflow_group, template_of
from training.datasets.records import (
    HELD_OUT,
    TEST,
    TRAIN,
    VAL,
    Entry,
    Source,
    images_in,
    lines_of,
    part_of,
    shown,
)

_NOT_LABELS = {"classes.txt", "train.txt", "val.txt", "test.txt", "notes.txt", "readme.txt", "readme.roboflow.txt"}


def is_yolo(root: Path) -> bool:
    """Whether the folder, or the YAML file, is laid out so."""
    return _find_description(root) is not None or _has_pairs_of_folders(root)


def read_yolo(root: Path) -> Source:
    """All images that the description names. Raises DatasetError for a description that cannot be used."""
    path = _find_description(root)
    if path is None:
        return _read_bare(root)
    description = load_description(path)
    folder = _Folder(path.parent, names_of(description, path))
    base = _base(path.parent, description)
    for key in (TRAIN, VAL, TEST):
        for image in folder.listed(base, key, description.get(key)):
            folder.add(image, _part(key, image, description))
    return folder.source(description)


def load_description(path: Path) -> dict[str, Any]:
    """A data.yaml as a table. Raises DatasetError when it is none."""
    try:
        description = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(description, dict):
        raise DatasetError(f"{path}: not a table of names and parts")
    return description


def names_of(description: dict[str, Any], path: Path) -> tuple[str, ...]:
    """The class names in the order of their numbers; they come as a list or as a table. Raises DatasetError."""
    names = description.get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DatasetError(f"{path}: `names` is neither a list of class names nor a table numbered from 0")
    return tuple(names)


@dataclass
class _Folder:
    root: Path
    names: tuple[str, ...]
    entries: dict[Path, Entry] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def listed(self, base: Path, key: str, value: object) -> Iterator[Path]:
        """The images of one part: a folder, a text file that lists them, or several of both."""
        for item in value if isinstance(value, list) else [value] if value else []:
            found = _resolve(base, str(item))
            if found is None:
                self.findings.append(Finding(Kind.MISSING_FILE, f"data.yaml: {key}", str(item)))
            elif found.is_dir():
                yield from images_in(found)
            else:
                yield from _lines_of(found, base)

    def add(self, image: Path, part: str | None) -> None:
        if image in self.entries:
            if part != self.entries[image].part:
                message = f"in {self.entries[image].part} and in {part}"
                self.findings.append(Finding(Kind.LEAK, shown(image, self.root), message))
            return
        labels = labels_of(image)
        boxes = parse_labels(labels, shown(labels, self.root), self.names, self.findings) if labels.is_file() else ()
        template = template_of(image)
        self.entries[image] = Entry(
            image, boxes, labels.is_file(), part, roboflow_group(image), in_shares=True, template=template
        )

    def source(self, description: dict[str, Any]) -> Source:
        self._look_for_orphans()
        held_out = description.get("held_out_groups") or ()
        return Source(
            self.root,
            "yolo",
            tuple(self.entries.values()),
            self.names,
            tuple(self.findings),
            look=description.get("look"),
            published=bool(held_out),
            held_out_groups=frozenset(held_out),
        )

    def _look_for_orphans(self) -> None:
        expected = {labels_of(image) for image in self.entries}
        for folder in sorted({path.parent for path in expected}):
            for path in sorted(folder.glob("*.txt")):
                if path not in expected and path.name.lower() not in _NOT_LABELS:
                    self.findings.append(Finding(Kind.NO_IMAGE, shown(path, self.root), "no image of that name"))


def _read_bare(root: Path) -> Source:
    names = root / "classes.txt"
    if not names.is_file():
        names = root / "labels" / "classes.txt"
    if not names.is_file():
        raise DatasetError(f"{root}: no class names; write them into {root / 'classes.txt'}, one a line")
    folder = _Folder(root, tuple(line.strip() for line in lines_of(names) if line.strip()))
    for image in images_in(root / "images"):
        parts = (part_of(parent.name) for parent in image.parents if parent.is_relative_to(root / "images"))
        folder.add(image, next((part for part in parts if part), None))
    return folder.source({})


def _has_pairs_of_folders(root: Path) -> bool:
    return (root / "images").is_dir() and any((root / "labels").rglob("*.txt"))


def _find_description(root: Path) -> Path | None:
    if root.is_file():
        return root if root.suffix in {".yaml", ".yml"} else None
    if (root / "data.yaml").is_file():
        return root / "data.yaml"
    candidates = sorted([*root.glob("*.yaml"), *root.glob("*.yml")])
    described = [path for path in candidates if "names:" in path.read_text(errors="replace")]
    return described[0] if len(described) == 1 else None


def _base(folder: Path, description: dict[str, Any]) -> Path:
    """Ultralytics takes `path` from its own datasets folder; one that is not there means the description's folder."""
    named = folder / str(description.get("path") or ".")
    return named if named.is_dir() else folder


def _resolve(base: Path, item: str) -> Path | None:
    """Roboflow writes `../train/images` for what lies in `train/images`."""
    tries = (base / item, base / item.removeprefix("../"))
    return next((path for path in tries if path.exists()), None)


def _lines_of(listing: Path, base: Path) -> Iterator[Path]:
    for line in lines_of(listing):
        if line.strip():
            relative = line.strip()
            yield (listing.parent if relative.startswith("./") else base) / relative


def _part(key: str, image: Path, description: dict[str, Any]) -> str:
    return HELD_OUT if description.get("held_out_groups") and image.parent.name == HELD_OUT else key
