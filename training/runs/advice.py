"""What to do next, in plain words, from what a run shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from training.runs.examination import Examination
from training.runs.record import Entry, RunSettings

_FEW_DEFECTS, _ENOUGH_DEFECTS = 30, 60
_FEW_HELD_OUT = 40
_GOOD_RECALL = 0.9
_PAST_BEST = 0.5  # share of the run after which nothing got better


def advice(name: str, settings: RunSettings, rounds: Sequence[Entry], examined: Examination) -> list[str]:
    """Sentences about the run of that name, the most useful first; never none."""
    return [
        *_about_length(name, settings, rounds),
        *_about_classes(settings, examined),
        *_about_held_out(examined),
        *_what_comes_then(name, examined),
    ]


def recall_of(examined: Examination, name: str) -> float:
    """Share of a class' defects that are called at the report's confidence; 1.0 where it does not occur."""
    index = examined.class_names.index(name)
    row = examined.confusion[index]
    return float(row[index] / row.sum()) if row.sum() else 1.0


def _about_length(name: str, settings: RunSettings, rounds: Sequence[Entry]) -> Iterator[str]:
    scored = [entry for entry in rounds if "held_out" in entry]
    if len(scored) < 3:
        return
    best = max(scored, key=lambda entry: float(entry["held_out"]["map50_95"]))
    if best is scored[-1]:
        more = round(settings.crops * 1.5, -2)
        yield (
            "The score was still rising at the end: train on, for example with "
            f'make train NAME={name} RESUME=1 ARGS="--crops {more:.0f}".'
        )
    elif not best["seen"]:
        yield (
            "Nothing got better than the weights that the run began with, which were kept: more pictures will help, "
            "more training will not."
        )
    elif best["seen"] < scored[-1]["seen"] * _PAST_BEST:
        yield (
            f"Nothing got better after {best['seen']:,} crops: more pictures will help, more training will not. "
            "The best weights were kept."
        )


def _about_classes(settings: RunSettings, examined: Examination) -> Iterator[str]:
    present = [name for name, curve in examined.curves.items() if curve.truths]
    weak = sorted((n for n in present if recall_of(examined, n) < _GOOD_RECALL), key=lambda n: recall_of(examined, n))
    few = [name for name in weak if settings.defects.get(name, 0) < _FEW_DEFECTS]
    if few:
        told = ", ".join(f"{n} ({settings.defects.get(n, 0)} known, {recall_of(examined, n):.0%} found)" for n in few)
        yield f"Too few examples of {told}. Label {_ENOUGH_DEFECTS} or more of each."
    for name in [name for name in weak if name not in few]:
        yield (
            f"{name}: {recall_of(examined, name):.0%} found in spite of {settings.defects[name]:,} examples. Look at "
            "its escapes below: are the labels right, is the defect in focus, is it larger than 8 pixels?"
        )
    for name in sorted(set(settings.defects) - set(present)):
        yield f"{name} does not occur in the held-out part: nobody knows how well it is found. Move some there."


def _about_held_out(examined: Examination) -> Iterator[str]:
    if examined.pictures < _FEW_HELD_OUT:
        yield (
            f"{examined.pictures} held-out pictures are few: one board more or less moves the figures by "
            f"{1 / examined.pictures:.0%}. Hold out {_FEW_HELD_OUT} or more."
        )
    if not examined.good_pictures:
        yield "No held-out picture is without a defect, so false calls on good boards are not known. Add good boards."


def _what_comes_then(name: str, examined: Examination) -> Iterator[str]:
    yield (
        "Look through the misses below. A false call that is a real defect is a label forgotten: mend it and train "
        f"again. The confidence of this page, {examined.confidence:.2f}, only balances escapes and false calls; the "
        "thresholds of the line come from make calibrate."
    )
    yield (
        f"To use this detector: make export NAME={name}, make calibrate as it then says, and inference.model in "
        "config/line.yaml set to the new .onnx file."
    )
