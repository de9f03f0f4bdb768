"""From a source in any layout to a checked dataset in the project's form, with its report."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from pcb_bus.contract.taxonomy import load_taxonomy
from training.datasets.errors import DatasetError
from training.datasets.examine import TAXONOMY, Examined, ExamineSettings, examine
from training.datasets.findings import Level, by_kind
from training.datasets.form import is_form, read_class_names, read_held_out_groups
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.datasets.layouts.detect import AUTO, read_source
from training.datasets.layouts.yolo import load_description
from training.datasets.records import Source
from training.datasets.report import write_report
from training.datasets.write import write_form

_MOST_SHOWN = 8
_REPORT = {"dataset.json", "dataset.html"}


class BadDataset(DatasetError):
    """A dataset with errors. The text lists them, kind by kind; the report at `report` has every one."""

    def __init__(self, examined: Examined, report: Path) -> None:
        self.examined, self.report = examined, report
        super().__init__("\n".join(_lines(examined, report)))


def build(examined: Examined, root: Path, origin: str = "") -> None:
    """Write the dataset and its report to `root`, in place of one that was built there before.

    Raises:
        BadDataset: there are errors; then the report alone is written.
        DatasetError: `root` holds something else.
    """
    _check_target(examined.source.root, root)
    if not examined.is_sound:
        write_report(examined, root)
        raise BadDataset(examined, root / "dataset.html")
    partial = root.with_name(f"{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_form(examined, partial, origin)
    write_report(examined, partial)
    shutil.rmtree(root, ignore_errors=True)
    partial.replace(root)


def locate(source: Path, root: Path, held_out_groups: frozenset[str] = HELD_OUT_GROUPS, layout: str = AUTO) -> Path:
    """A dataset to train on: `source` itself when it has the project's form, else what was made of it at `root`.

    It is made again when the source or the groups to hold out have changed since.

    Raises:
        BadDataset: the source has errors.
        DatasetError: it has no layout that is known.
    """
    if layout in {AUTO, "yolo"} and is_form(source) and _has_our_names(source):
        return source
    read = read_source(source, layout, held_out_groups=held_out_groups)
    origin = fingerprint(source, read, layout)
    if not _is_made_from(origin, root, held_out_groups):
        build(examine(read, ExamineSettings()), root, origin)
    return root


def place_for(source: Path, work: Path, held_out_groups: frozenset[str] = HELD_OUT_GROUPS) -> Path:
    """Where in a work folder to make a dataset of a source: runs come back to it, so none takes its place."""
    told_apart = hashlib.sha256(repr((str(source.resolve()), sorted(held_out_groups))).encode()).hexdigest()
    return work / "datasets" / f"{source.resolve().stem}-{told_apart[:8]}"


def require_sound(root: Path, report: Path) -> Examined:
    """Check a dataset in the project's form, writing the report into the folder `report`. Raises BadDataset."""
    examined = examine(read_source(root, "yolo"), ExamineSettings())
    write_report(examined, report)
    if not examined.is_sound:
        raise BadDataset(examined, report / "dataset.html")
    return examined


def fingerprint(source: Path, read: Source, *options: str) -> str:
    """Tells whether any file of a source has changed: from names, sizes and times, not contents.

    What lies outside of its folder, or is named by a single file, counts as it was read.
    """
    digest = hashlib.sha256(repr((str(source.resolve()), options)).encode())
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    known = set(files)
    elsewhere = [entry for entry in read.entries if entry.image not in known]
    for entry in elsewhere:
        digest.update(repr(entry).encode())
    for path in (*files, *(entry.image for entry in elsewhere)):
        if path.is_file():
            status = path.stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _has_our_names(source: Path) -> bool:
    """Whether all class names are the taxonomy's to the letter; others are put right in a copy."""
    return set(read_class_names(source)) <= set(load_taxonomy(TAXONOMY).classes)


def _is_made_from(origin: str, root: Path, held_out_groups: frozenset[str]) -> bool:
    if not (root / "data.yaml").is_file() or load_description(root / "data.yaml").get("origin") != origin:
        return False
    return read_held_out_groups(root) in {held_out_groups, frozenset()}


def _check_target(source: Path, root: Path) -> None:
    """Whatever is at the target is removed, so it must be ours to remove."""
    inner, outer = source.resolve(), root.resolve()
    if inner.is_relative_to(outer):
        raise DatasetError(f"{root}: the source lies there: give another with --out, or --work")
    if root.exists() and not (root.is_dir() and _is_ours(root)):
        raise DatasetError(f"{root} holds something that is no dataset made here: give another with --out, or --work")


def _is_ours(root: Path) -> bool:
    """Whether a folder is empty, holds a report alone, or a dataset that says what it was made from."""
    if (root / "data.yaml").is_file():
        return "origin" in load_description(root / "data.yaml")
    return {path.name for path in root.iterdir()} <= _REPORT


def _lines(examined: Examined, report: Path) -> Sequence[str]:
    errors = [finding for finding in examined.findings if finding.kind.level is Level.ERROR]
    lines = [
        f"{examined.source.root}: {len(errors)} errors, so nothing was trained or written; all of them in {report}"
    ]
    for kind, found in by_kind(errors).items():
        lines.append(f"{kind.title}: {len(found)}")
        lines += [f"  {finding}" for finding in found[:_MOST_SHOWN]]
        if len(found) > _MOST_SHOWN:
            lines.append(f"  … and {len(found) - _MOST_SHOWN} more")
    return lines
