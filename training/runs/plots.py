"""The plots of a run, as SVG: loss and rate, scores, precision over recall, confusion."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from training.runs.examination import Examination
from training.runs.record import Entry

INK, SOFT, LINE, CARD = "#1d2420", "#5f6b64", "#dfe4e0", "#ffffff"
SERIES = ("#1f6f54", "#d98a1f", "#4a6fb5", "#9c4f86", "#7a8b1f", "#6b6f76")
_DASHES = ("-", "--", ":")
_HEAT = LinearSegmentedColormap.from_list("heat", [CARD, SERIES[0]])
_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "boardline",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "legend.frameon": False,
    "lines.linewidth": 2,
}


def loss_plot(rounds: Sequence[Entry]) -> str:
    """Mean loss of each round."""
    with _figure(8, 3) as (figure, axes):
        learned = [entry for entry in rounds if "loss" in entry]
        axes.plot([entry["seen"] for entry in learned], [entry["loss"] for entry in learned], color=SERIES[0])
        axes.set_xlabel("crops learned from")
        axes.set_ylabel("loss")
        _label_thousands(axes)
        return _svg(figure)


def score_plot(rounds: Sequence[Entry]) -> str:
    """mAP50 and mAP50-95 on the held-out part; a ring marks the weights that were kept."""
    scored = [entry for entry in rounds if "held_out" in entry]
    with _figure(8, 3) as (figure, axes):
        for (key, name), colour in zip((("map50", "mAP50"), ("map50_95", "mAP50-95")), SERIES, strict=False):
            values = [entry["held_out"][key] for entry in scored]
            axes.plot([entry["seen"] for entry in scored], values, "o-", markersize=4, color=colour, label=name)
        if scored:
            best = max(scored, key=lambda entry: float(entry["held_out"]["map50_95"]))
            axes.plot(best["seen"], best["held_out"]["map50_95"], "o", markersize=11, mfc="none", mec=INK, label="kept")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("crops learned from")
        axes.legend(loc="lower right", ncols=3)
        _label_thousands(axes)
        return _svg(figure)


def precision_recall_plot(examined: Examination) -> str:
    """One line for each class that occurs, a dot where the report's confidence lies."""
    present = [(name, curve) for name, curve in examined.curves.items() if curve.truths]
    with _figure(8, 4.6) as (figure, axes):
        for index, (name, curve) in enumerate(present):
            colour, dash = SERIES[index % len(SERIES)], _DASHES[index // len(SERIES) % len(_DASHES)]
            axes.plot([0, *curve.recall], [1, *curve.precision], dash, color=colour, label=f"{name} ({curve.truths})")
            above = int((curve.confidences >= examined.confidence).sum())
            if above:
                axes.plot(curve.recall[above - 1], curve.precision[above - 1], "o", color=colour)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        if present:
            axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return _svg(figure)


def confusion_plot(examined: Examination) -> str:
    """Labelled by called, as counts; colour is the share of the row. Classes that never occur are left out."""
    last = len(examined.class_names)
    occurs = [i for i in range(last) if examined.confusion[i].any() or examined.confusion[:, i].any()]
    chosen = [*occurs, last]
    table = examined.confusion[np.ix_(chosen, chosen)]
    names = [examined.class_names[index] for index in occurs]
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    with _figure(8, 1.6 + 0.42 * len(chosen)) as (figure, axes):
        axes.grid(visible=False)
        axes.imshow(shares, cmap=_HEAT, vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(chosen)), [*names, "escaped"], rotation=35, ha="right")
        axes.set_yticks(range(len(chosen)), [*names, "no defect"])
        axes.set_xlabel("called")
        axes.set_ylabel("labelled")
        for (row, column), count in np.ndenumerate(table):
            if count:
                colour = CARD if shares[row, column] > 0.55 else INK
                axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
        return _svg(figure)


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return stream.getvalue()


def _label_thousands(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
