"""The report of an evaluation as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from training.evaluation.deeppcb_rule import Balance
from training.evaluation.factory import Rates, Share
from training.evaluation.report import Report


def tables(title: str, report: Report) -> Iterator[Table]:
    """By class, by protocol, and which class was taken for which."""
    yield _class_table(f"{title}: {report.images} images, {report.boards} boards", report)
    yield _protocol_table(report)
    yield _confusion_table(report)


def _class_table(title: str, report: Report) -> Table:
    table = Table("class", "defects", "AP50", "AP50-95", "AP33", "recall", "precision", title=title)
    for name, each in report.classes.items():
        shares = (each.ap50, each.ap50_95, each.ap33, each.recall, each.precision)
        cells = [f"{share:.3f}" for share in shares] if each.truths else [""] * 4 + [f"{each.precision:.3f}"]
        table.add_row(name, str(each.truths), *cells, style=None if each.truths else "dim")
    means = (f"{report.mean(figure):.3f}" for figure in ("ap50", "ap50_95", "ap33"))
    table.add_row("mean", "", *means, "", "", style="bold")
    table.caption = "recall and precision at the thresholds of the line, IoU 0.5"
    return table


def _protocol_table(report: Report) -> Table:
    table = Table("protocol", "figure", "", title="three protocols")
    table.add_row("COCO", "mAP50", f"{report.mean('ap50'):.4f}")
    table.add_row("", "mAP50-95", f"{report.mean('ap50_95'):.4f}", end_section=True)
    table.add_row("DeepPCB, IoU 0.33", "mAP", f"{report.mean('ap33'):.4f}")
    table.add_row("", "F-score at the best threshold", _balance(report.best))
    table.add_row("", "F-score at the thresholds of the line", _balance(report.chosen), end_section=True)
    for name, rates in (("any defect", report.any_defect), ("verdict", report.verdict)):
        for figure, text in _rate_rows(rates):
            table.add_row(f"factory, {name}", figure, text)
    return table


def _rate_rows(rates: Rates) -> Iterator[tuple[str, str]]:
    yield "escapes of the bad boards", _share(rates.escapes)
    yield "false calls on the good boards", _share(rates.false_calls)
    if rates.wrong_gate is not None:
        yield "wrong gate, of the bad boards caught", _share(rates.wrong_gate)


def _share(share: Share) -> str:
    if share.value is None:
        return "no such board"
    low, high = share.interval
    return f"{share.count} of {share.of}: {share.value:.1%} (95 %: {low:.1%} to {high:.1%})"


def _balance(found: Balance) -> str:
    at = "" if found.confidence is None else f", at {found.confidence:.3f}"
    return f"{found.f_score:.4f} (precision {found.precision:.4f}, recall {found.recall:.4f}{at})"


def _confusion_table(report: Report) -> Table:
    names = [*report.classes, "nothing"]
    # Columns go by number: eleven names side by side fit no terminal.
    table = Table("", "true \\ called", *map(str, range(1, len(names))), "missed", title="confusion")
    for number, (name, row) in enumerate(zip(names, report.confusion.tolist(), strict=True), 1):
        if any(row):
            cells = (str(count) if count else "·" for count in row)
            table.add_row(str(number) if name in report.classes else "", name, *cells)
    return table
