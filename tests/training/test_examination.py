"""Escapes, false calls and confusions, found, drawn and talked about."""

from __future__ import annotations

import numpy as np
import pytest

from training.boxes import Image
from training.datasets.form import Sample
from training.evaluation.decode import DecodeSettings
from training.runs.advice import advice, recall_of
from training.runs.examination import Examination, examine
from training.runs.misses import SIDE, pictures
from training.runs.plots import confusion_plot, loss_plot, precision_recall_plot, score_plot
from training.runs.record import RunSettings

NAMES = ("short", "spur")
GREY = np.full((200, 300), 90, np.uint8)
SHORT, SPUR = (20.0, 20.0, 60.0, 60.0), (200.0, 100.0, 240.0, 130.0)


def _sample(name: str, *defects: tuple[str, tuple[float, ...]]) -> Sample:
    boxes = np.array([box for _, box in defects], float).reshape(-1, 4)
    return Sample(name, GREY, boxes, tuple(kind for kind, _ in defects))


SAMPLES = (
    _sample("found", ("short", SHORT)),
    _sample("escaped", ("spur", SPUR)),
    _sample("confused", ("short", SHORT)),
    _sample("good"),
    _sample("called"),
)
CALLS = {
    "found": [("short", SHORT, 0.9)],
    "escaped": [("spur", SPUR, 0.05)],
    "confused": [("spur", SHORT, 0.8)],
    "good": [],
    "called": [("spur", SPUR, 0.7)],
}


class _Network:
    """Gives the calls above, sample by sample."""

    def __init__(self) -> None:
        self._left = iter(SAMPLES)

    def __call__(self, image: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        calls = CALLS[next(self._left).name]
        rows = np.zeros((6, max(1, len(calls))), np.float32)
        for column, (kind, (x1, y1, x2, y2), score) in enumerate(calls):
            rows[:4, column] = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
            rows[4 + NAMES.index(kind), column] = score
        return rows


@pytest.fixture
def examined() -> Examination:
    return examine(_Network(), SAMPLES, NAMES, DecodeSettings(), confidence=0.5)


@pytest.fixture
def settings() -> RunSettings:
    return RunSettings("boards", "yolov8n.yaml", 1000, 100, 16, 7, "", NAMES, 50, 5, {"short": 100, "spur": 4})


def test_each_thing_that_went_wrong_is_named(examined: Examination) -> None:
    escape, *rest = examined.escapes
    assert (escape.truth, escape.sample, round(escape.confidence, 2), rest) == ("spur", 1, 0.05, [])
    assert [(m.called, m.truth, round(m.confidence, 1)) for m in examined.false_calls] == [
        ("spur", "short", 0.8),
        ("spur", "", 0.7),
    ]
    assert (examined.boards_with_escape, examined.boards_called_falsely, examined.good_pictures) == (1, 1, 2)


def test_the_confusion_counts_every_label_and_call_once(examined: Examination) -> None:
    assert examined.confusion.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert recall_of(examined, "short") == 0.5


def test_the_curve_of_a_class_falls_with_its_false_calls(examined: Examination) -> None:
    spur = examined.curves["spur"]
    assert spur.truths == 1
    assert spur.precision.tolist() == pytest.approx([0, 0, 1 / 3])
    assert spur.recall.tolist() == [0, 0, 1]


def test_the_usual_confidence_is_where_the_f_score_is_best() -> None:
    assert examine(_Network(), SAMPLES, NAMES, DecodeSettings()).confidence == pytest.approx(
        0.05
    )  # 2 of 3 found, 2 false calls


def test_misses_are_drawn_with_label_and_call(examined: Examination) -> None:
    (image, caption), *_ = pictures(examined.false_calls, SAMPLES)
    assert image.shape == (SIDE, SIDE, 3)
    assert (image != 90).any()
    assert caption == "spur 0.80, is short · confused"
    assert pictures(examined.escapes, SAMPLES)[0][1] == "spur, seen at 0.05 · escaped"


def test_advice_names_the_class_that_lacks_examples(examined: Examination, settings: RunSettings) -> None:
    told = " ".join(advice("mine", settings, [], examined))
    assert "spur (4 known, 0% found)" in told
    assert "short: 50% found in spite of 100 examples" in told
    assert "5 held-out pictures are few" in told
    assert "make export NAME=mine" in told


def test_advice_says_when_the_start_was_the_best(examined: Examination, settings: RunSettings) -> None:
    scores = ((0, 0.6), (500, 0.4), (1000, 0.5))
    rounds = [{"seen": seen, "held_out": {"map50": 0.5, "map50_95": score}} for seen, score in scores]
    assert "the weights that the run began with" in advice("mine", settings, rounds, examined)[0]


@pytest.mark.parametrize(("last", "words"), [(0.6, "still rising"), (0.3, "Nothing got better after")])
def test_advice_tells_whether_more_training_helps(
    examined: Examination, settings: RunSettings, last: float, words: str
) -> None:
    scores = ((100, 0.2), (200, 0.5), (1000, last))
    rounds = [{"seen": seen, "loss": 1.0, "held_out": {"map50": 0.5, "map50_95": score}} for seen, score in scores]
    assert words in advice("mine", settings, rounds, examined)[0]


def test_plots_are_svg(examined: Examination) -> None:
    rounds = [{"seen": 100, "loss": 3.0}, {"seen": 200, "loss": 2.0, "held_out": {"map50": 0.5, "map50_95": 0.3}}]
    for svg in (loss_plot(rounds), score_plot(rounds), precision_recall_plot(examined), confusion_plot(examined)):
        assert svg.rstrip().endswith("</svg>")
    assert ">escaped<" in confusion_plot(examined)
