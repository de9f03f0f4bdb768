"""Reads Pascal VOC: one XML file for each image, its parts in `ImageSets/Main` or in folders by their names."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from training.datasets.findings import Finding, Kind
from training.datasets.records import Entry, LabelBox, Source, images_in, lines_of, part_of, shown


def is_voc(root: Path) -> bool:
    """Whether there is an XML file below that describes an image."""
    return root.is_dir() and any(
        "<annotation" in path.read_text(errors="replace")[:500] for path in root.rglob("*.xml")
    )


def read_voc(root: Path) -> Source:
    """All images, with the XML file that bears their name or names them."""
    findings: list[Finding] = []
    images = images_in(root)
    parts = dict(_listed_parts(root))
    by_place = {_place(image, root): image for image in images}
    by_name: dict[str, list[Path]] = {}
    for image in images:
        by_name.setdefault(image.stem, []).append(image)
        by_name.setdefault(image.name, []).append(image)
    entries: dict[Path, Entry] = {}
    for path in sorted(root.rglob("*.xml")):
        tree = _parse(path, root, findings)
        if tree is None:
            continue
        named = _named_in(tree) or path.stem
        found = _image_of(path, root, by_place, by_name) or _only(by_name, named)
        if found is None:
            findings.append(Finding(Kind.NO_IMAGE, shown(path, root), f"{named} is not there"))
        else:
            entries[found] = _entry(tree, found, shown(path, root), findings)
    for image in images:
        entries.setdefault(image, Entry(image, labelled=False))
    placed = (_in_part(entries[image], root, parts) for image in images)
    return Source(root, "voc", tuple(placed), (), tuple(findings))


def _parse(path: Path, root: Path, findings: list[Finding]) -> ET.Element | None:
    try:
        tree = ET.fromstring(path.read_bytes())
    except (ET.ParseError, ValueError, LookupError) as error:  # the last two: an encoding that the parser lacks
        findings.append(Finding(Kind.BAD_LABEL, shown(path, root), f"not XML: {error}"))
        return None
    return tree if tree.tag == "annotation" else None


def _entry(tree: ET.Element, image: Path, name: str, findings: list[Finding]) -> Entry:
    boxes = (_box(each, f"{name} object {number}", findings) for number, each in enumerate(tree.iter("object"), 1))
    return Entry(image, tuple(box for box in boxes if box), size=_size(tree))


def _box(tree: ET.Element, where: str, findings: list[Finding]) -> LabelBox | None:
    """VOC counts pixels from 1 and both ends belong to the box."""
    name = (tree.findtext("name") or "").strip()
    try:
        x1, y1, x2, y2 = (float(tree.findtext(f"bndbox/{end}") or "") for end in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        findings.append(Finding(Kind.BAD_LABEL, where, "no `bndbox` of four numbers"))
        return None
    if not name:
        findings.append(Finding(Kind.BAD_LABEL, where, "no `name`"))
        return None
    return LabelBox(name, x1 - 1, y1 - 1, x2, y2, where)


def _size(tree: ET.Element) -> tuple[int, int] | None:
    try:
        size = int(tree.findtext("size/width") or ""), int(tree.findtext("size/height") or "")
    except ValueError:
        return None
    return size if all(size) else None


def _named_in(tree: ET.Element) -> str:
    """The image's name as the file gives it, without folders of whichever system."""
    return (tree.findtext("filename") or "").strip().replace("\\", "/").rsplit("/", 1)[-1]


def _image_of(path: Path, root: Path, by_place: dict[Path, Path], by_name: dict[str, list[Path]]) -> Path | None:
    """The image of that name in the folder of that name, else the only one of that name."""
    return by_place.get(_place(path, root)) or _only(by_name, path.stem)


def _only(by_name: dict[str, list[Path]], name: str) -> Path | None:
    candidates = by_name.get(name, [])
    return candidates[0] if len(candidates) == 1 else None


def _place(path: Path, root: Path) -> Path:
    """Where a file lies, without the folders that only tell images from labels."""
    kinds = {"annotations", "jpegimages", "images", "labels", "xml", "xmls"}
    parts = path.relative_to(root).with_suffix("").parts
    return Path(*(part for part in parts[:-1] if part.lower() not in kinds), parts[-1])


def _listed_parts(root: Path) -> Iterator[tuple[str, str]]:
    """`trainval` stands for whatever `train` and `val` do not say."""
    lists = sorted(root.rglob("ImageSets/Main/*.txt"), key=lambda path: path.stem != "trainval")
    for path in lists:
        part = part_of(path.stem)
        if part:
            for line in lines_of(path):
                yield from ((name, part) for name in (line.strip(), *line.split()[:1]) if name)  # names may hold spaces


def _in_part(entry: Entry, root: Path, parts: dict[str, str]) -> Entry:
    folders = (part_of(name) for name in reversed(entry.image.relative_to(root).parts[:-1]))
    part = parts.get(entry.image.stem) or next((part for part in folders if part), None)
    return Entry(entry.image, entry.boxes, entry.labelled, part, size=entry.size)
