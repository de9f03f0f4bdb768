"""`evaluate` of `python -m training`, and what its siblings share with it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from pcb_bus.contract.taxonomy import Taxonomy, load_taxonomy
from simulator.assembled.defects import DEFECT_CLASSES as ASSEMBLED_CLASSES
from simulator.bare_board import DEFECT_CLASSES as BARE_CLASSES
from training.anomaly.command import pixels
from training.datasets.errors import DatasetError
from training.datasets.examine import TAXONOMY
from training.datasets.layouts.deeppcb import HELD_OUT_GROUPS
from training.datasets.layouts.detect import AUTO, LAYOUTS
from training.evaluation.card import claimed_map50, held_out_groups
from training.evaluation.examine import Detector, DetectorOptions
from training.evaluation.labelled import LabelledSet, read_labelled
from training.evaluation.pictures import (
    ASSEMBLED,
    BARE,
    FIRST_TEST_DESIGN,
    FIRST_VALIDATION_DESIGN,
    DrawnSet,
    Picture,
    drawn_pictures,
)
from training.evaluation.reference import reviewed, with_told
from training.evaluation.report import Report, report_on
from training.evaluation.result import RESULTS, new_result, shown_path, write_result
from training.evaluation.tables import tables

STARTER = Path("models/starter/boardline-starter.onnx")
#: How far a measured mAP50 may lie from the card's; other processors round differently.
_TOLERANCE = 0.005


@dataclass(frozen=True)
class TestSet:
    """What is looked at: its short name, which names the result too, and its title."""

    name: str
    title: str
    pictures: Iterable[Picture]
    count: int
    classes: tuple[str, ...]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=Path, default=STARTER, help=".onnx, .xml or .pt (default: %(default)s)")
    add("--format", choices=LAYOUTS, default=AUTO, help="layout of the data (default: what it looks like)")
    add("--split", help="train, val, test, held_out or all (default: held_out, else test, else val)")
    add("--sides", type=_names, default=(), help="left,right: images whose names end in _left, _right are one board")
    add("--taxonomy", type=Path, default=TAXONOMY, help="default: %(default)s")
    add("--device", default="auto", help="as for the line (default: %(default)s)")
    add("--threads", type=int, help="of the CPU (default: the engine's choice)")
    usual = DetectorOptions.max_input
    add("--max-input", type=pixels, default=usual, help="as inference.max_input (default: %(default)s)")


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    usual = DrawnSet(ASSEMBLED)
    add_model_options(parser)
    add = parser.add_argument
    add("--drawn", choices=(ASSEMBLED, BARE), help="drawn boards instead of data")
    add("--boards", type=int, default=usual.boards, help="drawn boards (default: %(default)s)")
    add("--designs", type=int, default=usual.designs, help="that they are of (default: %(default)s)")
    add("--design-seed", type=int, default=FIRST_TEST_DESIGN, help="of the first design (default: %(default)s)")
    add("--reference", choices=("templates",), help="compare bare boards with their defect-free templates too")
    add("--confidence", type=float, help="least confidence of a call (default: the model's own, by class)")
    add("--fast", action="store_true", help="half precision where the line would use it; other CPUs differ")
    add("--name", help="of the result (default: that of the data and its part)")
    add("--json", type=Path, help="file of the result (default: var/evaluate/<name>.json)")


def evaluate(options: argparse.Namespace, console: Console) -> int:
    """Status 1 when the model's own card claims another mAP50 on this set."""
    if options.confidence is not None and not 0 <= options.confidence <= 1:
        raise DatasetError(f"--confidence {options.confidence:g}: none of 0 to 1")
    taxonomy = load_taxonomy(options.taxonomy)
    settings = DetectorOptions(
        options.device, options.threads, not options.fast, options.confidence, max_input=options.max_input
    )
    detector = Detector(existing(options.model), settings)
    if unknown := taxonomy.unknown_classes(detector.names):
        raise DatasetError(f"{options.model}: classes unknown to {options.taxonomy}: {', '.join(unknown)}")
    chosen = _drawn(options) if options.drawn else labelled_set(options, taxonomy)
    report, with_templates = _measure(detector, chosen, taxonomy, options.reference is not None, console)
    figures: dict[str, Any] = {"set": chosen.title, "thresholds": detector.thresholds(), **report.as_dict()}
    if with_templates is not None:
        figures["with_templates"] = with_templates.as_dict()
    name = options.name or chosen.name
    path = options.json or RESULTS / f"{name}.json"
    write_result(new_result(name, command_line(options), detector.model, figures), path)
    console.print(f"written: {path}", soft_wrap=True)
    claimed = claimed_map50(options.model.parent, detector.model.sha256, name, figures["set"])
    if claimed is None:
        return 0
    away = abs(claimed - report.mean("ap50"))
    console.print(
        f"mAP50 lies {away:.4f} from the figure of the model card", style="red" if away > _TOLERANCE else None
    )
    return int(away > _TOLERANCE)


def labelled_set(options: argparse.Namespace, taxonomy: Taxonomy) -> TestSet:
    """The part of the data that the options name. Raises DatasetError."""
    groups = options.held_out or held_out_groups(options.model.parent) or HELD_OUT_GROUPS
    labelled = read_labelled(LabelledSet(options.data, options.split, options.format, groups, options.sides), taxonomy)
    title = f"{labelled.name}, {labelled.part}"
    return TestSet(f"{labelled.name}-{labelled.part}", title, labelled, len(labelled), labelled.classes)


def drawn_set(chosen: DrawnSet) -> TestSet:
    """Drawn boards as a set."""
    classes = ASSEMBLED_CLASSES if chosen.look == ASSEMBLED else BARE_CLASSES
    designs = f", designs {chosen.first_design} to {chosen.first_design + chosen.designs - 1}"
    title = f"{chosen.boards} drawn {chosen.look} boards{designs if chosen.look == ASSEMBLED else ''}"
    return TestSet(chosen.look, title, drawn_pictures(chosen), chosen.boards, tuple(classes))


def all_names(detector: Detector, chosen: Iterable[TestSet]) -> tuple[str, ...]:
    """The model's classes in their order, then those that only the truth has."""
    return tuple(dict.fromkeys((*detector.names, *(name for each in chosen for name in each.classes))))


def command_line(options: argparse.Namespace) -> str:
    """What was typed, without the folders of this machine."""
    return " ".join(["python -m training", *(shown_path(word) for word in options.typed)])


def _measure(
    detector: Detector, chosen: TestSet, taxonomy: Taxonomy, reference: bool, console: Console
) -> tuple[Report, Report | None]:
    names = all_names(detector, [chosen])
    if reference:
        if taxonomy.copper is None:
            raise DatasetError("--reference templates: the taxonomy has no section `copper`")
        names = with_told(names, taxonomy.copper)
    found, read_anew, compared = [], [], 0
    for picture in track(chosen.pictures, chosen.title, total=chosen.count, console=console, transient=True):
        (each,) = detector.examine([picture], names)
        found.append(each)
        if reference:
            _check_template(picture)
            compared += picture.template is not None
            read_anew.append(reviewed(each, picture, names, taxonomy))
    if reference and not compared:
        raise DatasetError(f"--reference templates: {chosen.title} has no picture with a template beside it")
    report = report_on(found, names, taxonomy)
    _show(console, chosen.title, report)
    if not reference:
        return report, None
    with_templates = report_on(read_anew, names, taxonomy)
    _show(console, f"{chosen.title}, compared with the boards' templates", with_templates)
    return report, with_templates


def _check_template(picture: Picture) -> None:
    """Raises DatasetError where the template is of another size."""
    if picture.template is not None and picture.template.shape[:2] != picture.sample.image.shape[:2]:
        (height, width), (tall, wide) = picture.template.shape[:2], picture.sample.image.shape[:2]
        raise DatasetError(f"{picture.sample.name}: {wide}x{tall} pixels, but its template has {width}x{height}")


def _show(console: Console, title: str, report: Report) -> None:
    for table in tables(title, report):
        console.print(table)


def _drawn(options: argparse.Namespace) -> TestSet:
    if options.design_seed < FIRST_VALIDATION_DESIGN:
        raise DatasetError(
            f"--design-seed {options.design_seed}: designs below {FIRST_VALIDATION_DESIGN} are trained on"
        )
    if options.boards < 1 or options.designs < 1:
        raise DatasetError("--boards, --designs: at least one")
    return drawn_set(DrawnSet(options.drawn, options.boards, options.design_seed, options.designs))


def existing(model: Path) -> Path:
    """The path. Raises FileNotFoundError."""
    if not model.is_file():
        raise FileNotFoundError(f"no model file {model}")
    return model


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))
