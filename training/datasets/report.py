"""The report of a dataset: `dataset.json` for programs, `dataset.html` for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.datasets.crop_sheet import examples
from training.datasets.examine import Examined
from training.datasets.figures import as_dict, box_sides, image_sizes, part_table, size_histogram
from training.datasets.findings import Finding, Kind, Level, by_kind, count
from training.report.charts import histogram, stacked_bars
from training.report.page import Html, Section, Tone, code, folded, join, page, sheet, table, tiles, toned, verdict

_TONE: dict[Level, Tone] = {Level.ERROR: "bad", Level.WARNING: "warn", Level.NOTE: "soft"}
_OPEN, _MOST = 12, 2000


def write_report(examined: Examined, folder: Path) -> None:
    """Write both forms into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(as_dict(examined), indent=2, ensure_ascii=False)
    (folder / "dataset.json").write_text(figures + "\n")
    (folder / "dataset.html").write_text(render(examined))


def render(examined: Examined) -> str:
    """The page."""
    source, boards = examined.source, examined.boards
    boxes = sum(len(board.classes) for board in boards)
    good = sum(not board.classes for board in boards)
    key: list[tuple[str, object]] = [
        ("images", f"{len(boards):,}"),
        ("defects", f"{boxes:,}"),
        ("good boards", f"{good:,}"),
    ]
    key += [("classes", len(examined.class_names)), ("parts", len(set(examined.parts)))]
    return page(
        f"Dataset {source.root.name}",
        f"read as {source.layout}",
        [_verdict(examined), tiles(key)],
        _sections(examined),
        "Made by `python -m training dataset`.",
    )


def _verdict(examined: Examined) -> Html:
    errors, warnings = (count(examined.findings, level) for level in (Level.ERROR, Level.WARNING))
    looks = f"{warnings:,} {'warning' if warnings == 1 else 'warnings'} to look at"
    if errors:
        kinds = len([kind for kind in by_kind(examined.findings) if kind.level is Level.ERROR])
        many = f"{errors:,} {'error' if errors == 1 else 'errors'} of {kinds} {'kind' if kinds == 1 else 'kinds'}"
        return verdict("bad", f"Not fit for training: {many}. {looks}.")
    return verdict("warn" if warnings else "good", f"Fit for training. {looks if warnings else 'Nothing found'}.")


def _sections(examined: Examined) -> Iterator[Section]:
    problems = [finding for finding in examined.findings if finding.kind.level is not Level.NOTE]
    if problems:
        yield Section("What was found", _findings(problems), "Errors stop a training; warnings want a look.")
    if examined.boards:
        yield _classes(examined)
        yield Section(
            "What the classes look like",
            join([_examples(examined, name) for name in examined.class_names]),
            "Drawn at random from all parts, each with its box. Does every crop show what its title says?",
        )
        yield _sizes(examined)
    if notes := [finding for finding in examined.findings if finding.kind.level is Level.NOTE]:
        yield Section("What was done", _findings(notes))


def _classes(examined: Examined) -> Section:
    rows = part_table(examined)
    parts = [row["part"] for row in rows]
    bars = [(name, [row["classes"][name] for row in rows]) for name in examined.class_names]
    bars.append(("boards without a defect", [row["good_boards"] for row in rows]))
    totals = [[row["part"], row["images"], row["good_boards"], row["boxes"]] for row in rows]
    content = join([stacked_bars(bars, parts), table(["part", "images", "good boards", "defects"], totals)])
    return Section("Defects of each class", content, "How many boxes each part holds.")


def _examples(examined: Examined, name: str) -> Html:
    crops = examples(examined, name)
    content = sheet(crops) if crops else toned("warn", "none")
    return Html(f"<h3>{code(name)}</h3>{content}")


def _sizes(examined: Examined) -> Section:
    bins = size_histogram(box_sides(examined))
    sizes = image_sizes(examined)
    images = table(["image size", "images"], sizes[:8])
    more = toned("soft", f"and {len(sizes) - 8} other sizes") if len(sizes) > 8 else Html("")
    chart = histogram([number for _, number in bins], [label for label, _ in bins])
    note = (
        "Side of a square of the box's area, in pixels. What is smaller than 8 pixels is hard to find for any detector."
    )
    return Section("Sizes", join([chart, images, more]), note)


def _findings(findings: Sequence[Finding]) -> Html:
    return join([_kind(kind, found) for kind, found in by_kind(findings).items()])


def _kind(kind: Kind, found: Sequence[Finding]) -> Html:
    title = Html(f"{toned(_TONE[kind.level], kind.level)} {kind.title}: {len(found):,}")
    cells = [[code(each.where), each.message] for each in found[:_MOST]]
    rows = Html(f'<div class="found">{table(["where", "what"], cells)}</div>')
    more = toned("soft", f"and {len(found) - _MOST:,} more in dataset.json") if len(found) > _MOST else Html("")
    if len(found) <= _OPEN:
        return Html(f"<h3>{title}</h3>{rows}")
    return folded(title, join([rows, more]))
