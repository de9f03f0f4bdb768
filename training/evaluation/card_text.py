"""The model card as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TEMPLATE = """# {name}

{architecture}; {license}.

{files}

Classes, in the order of their indices: {classes}.
Input `images`: float32 from 0 to 1, batch x 3 x height x width, sides multiples of 32, the board at native scale.
Output `output0`: batch x {rows} x anchors: box centre and size in pixels, then a score for each class.
"""


def render(card: Mapping[str, Any]) -> str:
    """The whole text; what the card lacks is left out."""
    classes = card["classes"]
    head = _TEMPLATE.format(
        name=card["name"],
        architecture=card["architecture"],
        license=card["license"],
        files=_table(("file", "bytes", "sha256"), _files(card)),
        classes=", ".join(f"`{name}`" for name in classes),
        rows=4 + len(classes),
    )
    sections = (_figures(card), *_results(card), _calibration(card), _training(card))
    return "\n".join([head, *(section for section in sections if section)])


def _files(card: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for name, file in card["files"].items():
        yield f"`{name}`", f"{file['bytes']:,}", f"`{file['sha256']}`"


def _figures(card: Mapping[str, Any]) -> str:
    if "figures" not in card:
        return ""
    table = _table(("what", "asked", "figure", "reached", "command"), (_figure(row) for row in card["figures"]))
    notes = (
        "Measured on boards that were not trained on; where anything else was chosen with an eye on them, the remarks"
        " on the training say so. Machine and date stand in `card.json`."
    )
    return f"## Figures\n{notes}\n\n{table}\n"


def _figure(row: Mapping[str, Any]) -> Sequence[str]:
    asked = f"≥ {row['at_least']:g}" if "at_least" in row else f"≤ {row['at_most']:g}"
    if row["value"] is None:
        return row["what"], asked, "not measured", "", ""
    return row["what"], asked, f"{row['value']:.4g}", "yes" if row["reached"] else "**no**", f"`{row['command']}`"


def _results(card: Mapping[str, Any]) -> Iterator[str]:
    for result in card.get("results", {}).values():
        figures = result["figures"]
        if "coco" not in figures:
            continue
        measured = f"`{result['command']}`, {result['date']}, {result['machine']}"
        yield f"## {figures['set']}\n{measured}\n\n{_report(figures)}\n"
        if "with_templates" in figures:
            yield f"### The same with the boards' templates as witnesses\n\n{_report(figures['with_templates'])}\n"


def _report(figures: Mapping[str, Any]) -> str:
    columns = ("truths", "ap50", "ap50_95", "ap33", "recall", "precision")
    rows = [(name, *(f"{each[c]:.4g}" for c in columns)) for name, each in figures["classes"].items() if each["truths"]]
    means = (figures["coco"]["map50"], figures["coco"]["map50_95"], figures["deeppcb"]["map33"])
    rows.append(("**mean**", "", *(f"**{mean:.4f}**" for mean in means), "", ""))
    head = ("class", "defects", "AP50", "AP50-95", "AP33", "recall", "precision")
    return "\n".join([_table(head, rows), "", *_lines(figures)])


def _lines(figures: Mapping[str, Any]) -> Iterator[str]:
    rule = figures["deeppcb"]
    best, chosen = rule["best"]["f_score"], rule["chosen"]["f_score"]
    yield f"F-score at IoU 0.33: {best:.4f} at the best threshold, {chosen:.4f} at the model's own, as is all below."
    for name, rates in figures["factory"].items():
        escapes, false = (_share(rates[key]) for key in ("escapes", "false_calls"))
        yield f"Boards, {name.replace('_', ' ')}: {escapes} bad ones escape, {false} good ones are called."


def _share(share: Mapping[str, Any]) -> str:
    low, high = share["interval95"]
    return f"{share['count']} of {share['of']} ({low:.1%} to {high:.1%})" if share["of"] else "0 of 0"


def _calibration(card: Mapping[str, Any]) -> str:
    if "calibration" not in card:
        return ""
    chosen = card["calibration"]
    rows = ((name, f"{least:.3f}", f"{chosen['recall'][name]:.3f}") for name, least in chosen["thresholds"].items())
    error = f"expected calibration error {chosen['ece_before']:.3f} before, {chosen['ece_after']:.3f} after"
    target = (
        f"false calls on {chosen['target_false_call_rate']:.1%} of the boards; there {_share(chosen['false_calls'])}"
    )
    lines = [
        "## Thresholds",
        f"`{chosen['command']}`: {chosen['data']}.",
        f"Temperature {chosen['temperature']:.3f}; {error}. Target: {target}.",
        "",
        _table(("class", "least confidence", "recall there"), rows),
        "",
        "![precision-recall curves](pr_curves.svg)",
        "",
    ]
    return "\n".join(lines)


def _training(card: Mapping[str, Any]) -> str:
    run, groups = card["training"], card["data"]["held_out_groups"]
    held_out = f" Held out: DeepPCB {', '.join(groups)}, whole." if groups else ""
    text = f"{run['crops']:,} crops in {run['minutes']} minutes on {run['machine']}.{held_out}"
    return "\n".join(["## Training", text, run["notes"], ""])


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
