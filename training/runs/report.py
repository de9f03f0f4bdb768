"""The report of a run: one HTML page that shows how good the detector is and where it goes wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
from rich.console import Console

from training.datasets.form import VAL, Sample, read_samples
from training.evaluation.decode import DecodeSettings
from training.files import written_whole
from training.network import load_weights
from training.report.page import Html, Section, Tone, page, sheet, table, text, tiles, verdict
from training.runs import plots
from training.runs.advice import advice, recall_of
from training.runs.examination import Examination, Miss, examine
from training.runs.folder import Run
from training.runs.length import in_words
from training.runs.misses import pictures
from training.runs.record import Entry, RunSettings, read_rounds

_MOST_MISSES = 15
_COLOURS = {
    plots.INK: "var(--ink)",
    plots.SOFT: "var(--soft)",
    plots.LINE: "var(--line)",
    plots.CARD: "var(--card)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(plots.SERIES, 1)},
}


def write_report(run: Run, settings: RunSettings, console: Console) -> Path:
    """Examine the run's best weights on the held-out part; write the plots and the page.

    Raises FileNotFoundError when the run has no weights yet, DatasetError when its pictures are gone.
    """
    from training.train import torch_network

    network = load_weights(run.to_use)
    samples = read_samples(Path(settings.data), VAL)
    examined = examine(torch_network(network), samples, tuple(network.names.values()), DecodeSettings())
    rounds = read_rounds(run.log)
    drawn = _draw(rounds, examined)
    run.plots.mkdir(exist_ok=True)
    for name, svg in drawn.items():
        (run.plots / f"{name}.svg").write_text(svg)
    for name, misses in (("escapes", examined.escapes), ("false_calls", examined.false_calls)):
        _write_sheet(run.plots / f"{name}.jpg", [image for image, _ in pictures(misses[:_MOST_MISSES], samples)])
    with written_whole(run.report) as partial:
        partial.write_text(_page(run, settings, rounds, examined, drawn, samples))
    console.print(f"report: {run.report}", soft_wrap=True)
    return run.report


def _draw(rounds: Sequence[Entry], examined: Examination) -> dict[str, str]:
    drawn = {
        "precision_recall": plots.precision_recall_plot(examined),
        "confusion": plots.confusion_plot(examined),
    }
    if rounds:
        drawn |= {"loss": plots.loss_plot(rounds), "scores": plots.score_plot(rounds)}
    return drawn


def _page(
    run: Run,
    settings: RunSettings,
    rounds: Sequence[Entry],
    examined: Examination,
    drawn: dict[str, str],
    samples: Sequence[Sample],
) -> str:
    escapes, false_calls = examined.escapes, examined.false_calls
    sections = [
        Section("What to do next", _list(advice(run.folder.name, settings, rounds, examined))),
        Section("Classes", _class_table(settings, examined), f"at confidence {examined.confidence:.2f}, IoU 0.5"),
        Section(
            f"Escapes: {len(escapes)} labelled defects that were not called",
            _misses(escapes, samples),
            "The least seen first. Green: what the labels say.",
        ),
        Section(
            f"False calls: {len(false_calls)} calls without such a defect",
            _misses(false_calls, samples),
            "The surest first. Red: the call. Green: what the labels say.",
        ),
        Section("Confusion", _inline(drawn["confusion"]), "Rows: the label. Columns: what was called."),
        Section("Precision over recall", _inline(drawn["precision_recall"]), "The dots: the confidence of this page."),
    ]
    if rounds:
        sections.append(Section("Score on the held-out part", _inline(drawn["scores"])))
        sections.append(Section("Loss", _inline(drawn["loss"])))
    return page(
        f"Training run {run.folder.name}",
        _subtitle(settings, rounds),
        [_headline(rounds, examined), _key_figures(rounds, examined)],
        sections,
        "All figures are of the held-out part, which also chose the weights that were kept: on boards never looked at, "
        "expect a little less.",
    )


def _subtitle(settings: RunSettings, rounds: Sequence[Entry]) -> str:
    trained = f"{rounds[-1]['seen']:,} crops in {in_words(rounds[-1]['seconds'])}" if rounds else "no round ended yet"
    start = f"from {Path(settings.start).name}" if settings.start else "from fresh weights"
    pictures_of = f"{settings.images:,} pictures to learn from, {settings.held_out_images:,} held out"
    return f"{settings.architecture} {start} · {pictures_of} · {trained}"


def _headline(rounds: Sequence[Entry], examined: Examination) -> Html:
    defects = int(examined.confusion[:-1].sum())
    found = defects - len(examined.escapes)
    tone: Tone = "good" if found >= 0.97 * defects else "warn" if found >= 0.85 * defects else "bad"
    calls = int(examined.confusion[-1].sum())
    each = f"{calls / max(examined.pictures, 1):.2f} false calls a picture"
    return verdict(
        tone, f"{found:,} of {defects:,} held-out defects are called ({found / max(defects, 1):.1%}), {each}."
    )


def _key_figures(rounds: Sequence[Entry], examined: Examination) -> Html:
    scored = [entry["held_out"] for entry in rounds if "held_out" in entry]
    best = max(scored, key=lambda score: float(score["map50_95"]), default=None)
    bad, good = examined.pictures - examined.good_pictures, examined.good_pictures
    return tiles(
        [
            ("mAP50", f"{best['map50']:.3f}" if best else "–"),
            ("mAP50-95", f"{best['map50_95']:.3f}" if best else "–"),
            ("defective boards passed", f"{examined.boards_with_escape} of {bad}"),
            ("good boards stopped", f"{examined.boards_called_falsely} of {good}" if good else "–"),
            ("wrong class", int(sum(bool(m.truth) for m in examined.false_calls))),
            ("confidence", f"{examined.confidence:.2f}"),
        ]
    )


def _class_table(settings: RunSettings, examined: Examination) -> Html:
    rows = []
    for index, (name, curve) in enumerate(examined.curves.items()):
        called = examined.confusion[:, index]
        learned = settings.defects.get(name, 0)
        if not curve.truths and not called.any() and not learned:
            continue
        precision = f"{called[index] / called.sum():.1%}" if called.any() else "–"
        recall = f"{recall_of(examined, name):.1%}" if curve.truths else "–"
        rows.append((name, learned, curve.truths, recall, precision))
    return table(("class", "to learn from", "held out", "found", "of its calls, right"), rows)


def _misses(misses: Sequence[Miss], samples: Sequence[Sample]) -> Html:
    if not misses:
        return Html("<p>None.</p>")
    return sheet(pictures(misses[:_MOST_MISSES], samples))


def _list(sentences: Sequence[str]) -> Html:
    return Html("<ol>" + "".join(f"<li>{text(sentence)}</li>" for sentence in sentences) + "</ol>")


def _inline(svg: str) -> Html:
    """A plot within the page, in the page's own colours."""
    bare = svg[svg.index("<svg") :]
    for colour, variable in _COLOURS.items():
        bare = bare.replace(colour, variable)
    return Html(re.sub(r' (width|height)="[\d.]+pt"', "", bare, count=2))


def _write_sheet(path: Path, images: Sequence[cv2.typing.MatLike], columns: int = 5) -> None:
    """The pictures in rows, as one JPEG; no file where there are none."""
    if not images:
        path.unlink(missing_ok=True)
        return
    blank = images[0] * 0
    filled = [*images, *[blank] * (-len(images) % columns)]
    rows = [cv2.hconcat(filled[start : start + columns]) for start in range(0, len(filled), columns)]
    cv2.imwrite(str(path), cv2.vconcat(rows))
