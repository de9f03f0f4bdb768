"""Reads COCO: instances in JSON files, one for each part, and their images in a folder near by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.datasets.errors import DatasetError
from training.datasets.findings import Finding, Kind
from training.datasets.layouts.coco_outline import extent
from training.datasets.records import Entry, LabelBox, Source, images_in, part_of, shown

_Table = dict[str, Any]


def is_coco(root: Path) -> bool:
    """Whether the folder, or the JSON file, is laid out so."""
    return bool(_find_files(root))


def read_coco(root: Path, images: Path | None = None) -> Source:
    """All images of all instance files; `images` says where they lie if that cannot be seen. Raises DatasetError."""
    files = _find_files(root)
    if not files:
        raise DatasetError(f"{root}: no JSON file with `images`, `annotations` and `categories`")
    folder = root if root.is_dir() else root.parent
    reader = _Reader(folder, images)
    for path, content in files:
        reader.read(path, content, _part(path, root) if len(files) > 1 or part_of(path.stem) else None)
    reader.look_for_unlisted()
    return Source(folder, "coco", tuple(reader.entries.values()), tuple(reader.names), tuple(reader.findings))


@dataclass
class _Reader:
    root: Path
    images: Path | None
    entries: dict[Path, Entry] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    left_out: set[Path] = field(default_factory=set)

    def read(self, path: Path, content: _Table, part: str | None) -> None:
        file = shown(path, self.root)
        names = {category.get("id"): str(category.get("name")) for category in _tables(content, "categories")}
        self.names |= dict.fromkeys(names.values())
        boxes: dict[Any, list[LabelBox]] = {}
        for number, image in enumerate(_tables(content, "images"), 1):
            if "id" not in image or "file_name" not in image:
                self._find(Kind.BAD_LABEL, f"{file} image {number}", "no `id` or no `file_name`")
            else:
                boxes[image["id"]] = []
        for number, annotation in enumerate(_tables(content, "annotations"), 1):
            where = f"{file} annotation {annotation.get('id', f'number {number}')}"
            if annotation.get("image_id") not in boxes:
                self._find(Kind.NO_IMAGE, where, f"image_id {annotation.get('image_id')} is not in `images`")
            elif box := self._box(annotation, names, where):
                boxes[annotation["image_id"]].append(box)
        crowded = {each.get("image_id") for each in _tables(content, "annotations") if each.get("iscrowd")}
        for image in _tables(content, "images"):
            if image.get("id") in boxes and "file_name" in image:
                found = tuple(boxes[image["id"]])
                self._add(image, found, path, part, only_crowd=not found and image["id"] in crowded)

    def look_for_unlisted(self) -> None:
        """Images that lie beside the listed ones."""
        for folder in sorted({path.parent for path in self.entries}):
            for path in images_in(folder):
                if path not in self.entries and path not in self.left_out and path.parent == folder:
                    self._find(Kind.UNLISTED, shown(path, self.root), "lies beside the others")

    def _add(
        self, image: _Table, boxes: tuple[LabelBox, ...], path: Path, part: str | None, *, only_crowd: bool
    ) -> None:
        place = self._place(path, str(image["file_name"]), part)
        if only_crowd:
            self.left_out.add(place)
            self._find(Kind.LEFT_OUT, shown(place, self.root), "nothing but a crowd is on it, so it is no good board")
            return
        if place in self.entries:
            known = self.entries[place].part
            kind = Kind.LEAK if known != part else Kind.BAD_LABEL
            self._find(kind, shown(place, self.root), f"listed in {known} and in {part}" if known != part else "twice")
            return
        self.entries[place] = Entry(place, boxes, part=part, size=_size(image))

    def _box(self, annotation: _Table, names: dict[Any, str], where: str) -> LabelBox | None:
        if annotation.get("iscrowd"):
            self._find(Kind.CROWD, where, f"of {names.get(annotation.get('category_id'), 'no known class')}")
            return None
        name = names.get(annotation.get("category_id"))
        if name is None:
            self._find(Kind.CLASS_INDEX, where, f"category_id {annotation.get('category_id')} is not in `categories`")
            return None
        box = annotation.get("bbox")
        if isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box):
            x, y, width, height = (float(value) for value in box)
            return LabelBox(name, x, y, x + width, y + height, where)
        corners = extent(annotation.get("segmentation"))
        if box or corners is None:
            self._find(Kind.BAD_LABEL, where, "neither a `bbox` of four numbers nor an outline")
            return None
        self._find(Kind.OUTLINE, where, name)
        return LabelBox(name, *corners, where)

    def _place(self, path: Path, name: str, part: str | None) -> Path:
        return next((place for place in self._places(path, name, part) if place.is_file()), path.parent / name)

    def _places(self, path: Path, name: str, part: str | None) -> Iterator[Path]:
        if self.images:
            yield self.images / name
        stem = path.stem.removeprefix("instances_")
        for folder in (path.parent, path.parent.parent if path.parent != self.root else self.root):
            for kind in ("", "images", "data", stem, f"images/{stem}", part or "", f"images/{part or ''}"):
                yield folder / kind / name

    def _find(self, kind: Kind, where: str, message: str) -> None:
        self.findings.append(Finding(kind, where, message))


def _size(image: _Table) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None


def _find_files(root: Path) -> list[tuple[Path, _Table]]:
    paths = [root] if root.is_file() else sorted([*root.glob("*.json"), *root.glob("*/*.json")])
    read = ((path, _instances(path)) for path in paths if path.suffix == ".json")
    return [(path, content) for path, content in read if content is not None]


def _instances(path: Path) -> _Table | None:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return None
    required = ("images", "annotations", "categories")
    return (
        content if isinstance(content, dict) and all(isinstance(content.get(key), list) for key in required) else None
    )


def _tables(content: _Table, key: str) -> list[_Table]:
    return [item for item in content[key] if isinstance(item, dict)]


def _part(path: Path, root: Path) -> str | None:
    return part_of(path.stem) or (part_of(path.parent.name) if path.parent != root else None)
