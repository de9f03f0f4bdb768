"""`python -m training dataset`: import a dataset, or only check one."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.datasets.build import BadDataset, build, fingerprint
from training.datasets.classes import parse_map
from training.datasets.errors import DatasetError
from training.datasets.examine import TAXONOMY, Examined, ExamineSettings, examine
from training.datasets.figures import image_sizes, part_table
from training.datasets.findings import Level, by_kind, count
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.datasets.layouts.detect import AUTO, LAYOUTS, read_source
from training.datasets.report import write_report
from training.datasets.split import SplitSettings

_MOST_SHOWN = 5
_STYLE = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: "dim"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    usual = SplitSettings()
    add = parser.add_argument
    add("--from", dest="source", type=Path, required=True, help="folder, or its data.yaml or JSON file")
    add("--format", choices=LAYOUTS, default=AUTO, help="layout of the source (default: what it looks like)")
    add("--out", type=Path, help="folder of the dataset and its report (default: var/datasets/<name of the source>)")
    add("--check-only", action="store_true", help="check and report, and write no dataset")
    add("--map", action="append", default=[], metavar="THEIRS=OURS", help="a class by our name; `-` leaves it out")
    add("--unlabelled", choices=("error", "good", "skip"), default="error", help="images without labels are …")
    add("--images", type=Path, help="where the images of a COCO file lie, if not beside it")
    add("--val", type=float, default=usual.val, help="share to test the training on (default: %(default)s)")
    add("--test", type=float, default=usual.test, help="share to measure the detector on (default: %(default)s)")
    add("--seed", type=int, default=usual.seed, help="of the split (default: %(default)s)")
    add("--resplit", action="store_true", help="forget the split that the source has")
    add("--group", help=r"pattern whose (group) in a file's name is the board that it shows, as in '(SN\d+)'")
    add("--held-out", type=lambda text: frozenset(text.split(",")), default=HELD_OUT_GROUPS, help="groups of DeepPCB")
    add("--taxonomy", type=Path, default=TAXONOMY, help="the classes that there are (default: %(default)s)")


def dataset(options: argparse.Namespace, console: Console) -> int:
    """Status 2 when the dataset has errors. Raises DatasetError when it cannot be read as one."""
    source = read_source(options.source, options.format, options.images, options.held_out)
    out = options.out or Path("var/datasets") / (options.source.stem if options.source.is_file() else source.root.name)
    examined = examine(source, _settings(options), lambda seen, total: _followed(seen, total, console))
    show(examined, console)
    try:
        if options.check_only:
            write_report(examined, out)
        else:
            build(examined, out, fingerprint(options.source, source, options.format))
    except BadDataset as bad:
        told = f"not fit for training, nothing written; every finding: {bad.report}"
        console.print(told, style="red", soft_wrap=True)
        return 2
    console.print(f"report: {out / 'dataset.html'}", soft_wrap=True)
    if options.check_only:
        return 0 if examined.is_sound else 2
    console.print(f"train on it: make train DATA={out}", soft_wrap=True)
    return 0


def show(examined: Examined, console: Console) -> None:
    """Print the figures, and the findings in short."""
    rows = part_table(examined)
    table = Table("", *(row["part"] for row in rows), title=f"{examined.source.root.name} ({examined.source.layout})")
    for column in table.columns[1:]:
        column.justify = "right"
    for label, key in (("images", "images"), ("good boards", "good_boards"), ("defects", "boxes")):
        table.add_row(label, *(f"{row[key]:,}" for row in rows), end_section=key == "boxes")
    for name in examined.class_names:
        table.add_row(name, *(f"{row['classes'][name]:,}" for row in rows))
    console.print(table)
    sizes = ", ".join(f"{size} ({number:,})" for size, number in image_sizes(examined)[:4])
    console.print(f"image sizes: {sizes or 'none'}")
    for kind, found in by_kind(examined.findings).items():
        console.print(f"{kind.level} · {kind.title}: {len(found):,}", style=_STYLE[kind.level], highlight=False)
        for finding in found[:_MOST_SHOWN]:
            console.print(f"    {finding}", markup=False, highlight=False, soft_wrap=True)
        if len(found) > _MOST_SHOWN:
            console.print(f"    … and {len(found) - _MOST_SHOWN:,} more")
    if any(kind.name == "UNKNOWN_CLASS" for kind in by_kind(examined.findings)):
        console.print(
            "say what an unknown class is with --map theirs=ours, or leave it out with --map theirs=-", soft_wrap=True
        )
    errors, warnings = (count(examined.findings, level) for level in (Level.ERROR, Level.WARNING))
    console.print(f"{errors:,} errors, {warnings:,} warnings")


def _settings(options: argparse.Namespace) -> ExamineSettings:
    if not options.taxonomy.is_file():
        raise DatasetError(f"--taxonomy {options.taxonomy}: no such file")
    return ExamineSettings(
        options.taxonomy,
        parse_map(options.map),
        options.unlabelled,
        options.group,
        SplitSettings(options.val, options.test, options.seed, options.resplit),
    )


def _followed(seen: Iterable[object], total: int, console: Console) -> None:
    for _ in track(seen, "looking at pictures", total=total, console=console, transient=True):
        pass
