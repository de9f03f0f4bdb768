"""Reads the DeepPCB layout (Tang et al. 2019) and splits it by group.

`PCBData/groupNNNNN/NNNNN/X_test.jpg` is the inspected board, `X_temp.jpg` its template and `NNNNN_not/X.txt` the
labels, one `x1 y1 x2 y2 type` a line. `trainval.txt` lists `image label` pairs, and so does `test.txt` where the
published test set is there; it becomes the part `test`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from training.datasets.errors import DatasetError
from training.datasets.findings import Finding, Kind
from training.datasets.records import HELD_OUT, TEST, TRAIN, Entry, LabelBox, Source, lines_of, shown

#: DeepPCB's label types and the taxonomy's names for them.
CLASS_OF_TYPE = {1: "open_circuit", 2: "short", 3: "mouse_bite", 4: "spur", 5: "spurious_copper", 6: "pin_hole"}
CLASS_NAMES: tuple[str, ...] = tuple(CLASS_OF_TYPE.values())
BARE_COPPER = "bare_copper"

#: Held out whole: images of one group show neighbouring, overlapping parts of the same board.
HELD_OUT_GROUPS = frozenset({"group00041"})

_TRAINVAL, _TEST = "trainval.txt", "test.txt"


def is_deeppcb(root: Path) -> bool:
    """Whether the folder, or its PCBData, is laid out so."""
    return (_data_folder(root) / _TRAINVAL).is_file() or (_data_folder(root) / _TEST).is_file()


def read_deeppcb(root: Path, held_out_groups: frozenset[str] = HELD_OUT_GROUPS) -> Source:
    """All pairs that the lists name. Raises DatasetError when there are none, or no group to hold out."""
    data = _data_folder(root)
    if not is_deeppcb(root):
        raise DatasetError(f"no DeepPCB data in {root}: {data / _TRAINVAL} is missing")
    findings: list[Finding] = []
    entries = [_in_part(entry, held_out_groups) for entry in _listed(data, _TRAINVAL, findings)]
    entries += [replace(entry, part=TEST) for entry in _listed(data, _TEST, findings)]
    missing = held_out_groups - {entry.group for entry in entries if entry.part == HELD_OUT}
    if missing and (data / _TRAINVAL).is_file():  # the published test list alone can be measured on
        raise DatasetError(f"{root} has no {', '.join(sorted(missing))} to hold out")
    return Source(
        data,
        "deeppcb",
        tuple(entries),
        CLASS_NAMES,
        tuple(findings),
        look=BARE_COPPER,
        published=True,
        held_out_groups=held_out_groups,
    )


def parse_labels(text: str, source: str, findings: list[Finding]) -> tuple[LabelBox, ...]:
    """The labels of one file; lines that are none go to the findings, under the name `source` and their number."""
    lines = ((f"{source}:{number}", line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
    labels = (_parse_label(line, where, findings) for where, line in lines)
    return tuple(label for label in labels if label)


def _data_folder(root: Path) -> Path:
    return root if (root / _TRAINVAL).is_file() else root / "PCBData"


def _in_part(entry: Entry, held_out_groups: frozenset[str]) -> Entry:
    return replace(entry, part=HELD_OUT if entry.group in held_out_groups else TRAIN)


def _listed(data: Path, listing: str, findings: list[Finding]) -> Iterator[Entry]:
    path = data / listing
    for number, line in enumerate(lines_of(path) if path.is_file() else (), 1):
        fields = line.split()
        if len(fields) == 2:
            yield _read_entry(data, fields, f"{listing}:{number}", findings)
        elif fields:
            findings.append(Finding(Kind.BAD_LABEL, f"{listing}:{number}", f"not an image and a label file: {line!r}"))


def _read_entry(data: Path, fields: Sequence[str], where: str, findings: list[Finding]) -> Entry:
    image, labels = fields
    stem = data / image.removesuffix(".jpg")
    template = stem.with_name(f"{stem.name}_temp.jpg")
    missing = [path for path in (template, data / labels) if not path.is_file()]
    findings += [Finding(Kind.MISSING_FILE, where, shown(path, data)) for path in missing]
    text = "\n".join(lines_of(data / labels)) if (data / labels).is_file() else ""
    return Entry(
        image=stem.with_name(f"{stem.name}_test.jpg"),
        boxes=parse_labels(text, labels, findings),
        group=Path(image).parts[0],
        template=template,
        title=stem.name,
    )


def _parse_label(line: str, where: str, findings: list[Finding]) -> LabelBox | None:
    try:
        x1, y1, x2, y2, kind = (int(field) for field in line.replace(",", " ").split())
    except ValueError:
        findings.append(Finding(Kind.BAD_LABEL, where, f"not `x1 y1 x2 y2 type`: {line!r}"))
        return None
    if kind not in CLASS_OF_TYPE:
        findings.append(Finding(Kind.CLASS_INDEX, where, f"type {kind} is none of 1 to {len(CLASS_OF_TYPE)}"))
        return None
    return LabelBox(CLASS_OF_TYPE[kind], x1, y1, x2, y2, where)
