"""Temperature and thresholds from outcomes that are known."""

from __future__ import annotations

import numpy as np
import pytest

from inference_subscriber.engines.calibration import Calibration
from training.evaluation.average_precision import Boxed
from training.evaluation.calibrate import (
    ClassDetections,
    Outcomes,
    calibration_error,
    choose_thresholds,
    class_detections,
    fit_temperature,
    outcomes,
    reliability,
)
from training.evaluation.curves import curve, draw
from training.evaluation.examine import Examined


def boxed(*rows: tuple[float, float, float, float, int, float]) -> Boxed:
    """Boxes from rows of x1, y1, x2, y2, class, confidence."""
    table = np.array(rows, float).reshape(-1, 6)
    return Boxed(table[:, :4], table[:, 4].astype(np.int64), table[:, 5])


def detections(
    truths: int, hits: list[float], false: list[float] | None = None, boards: list[int] | None = None
) -> ClassDetections:
    wrong = np.array(false or [], float)
    return ClassDetections(truths, np.array(hits, float), wrong, wrong, np.array(boards or [], np.int64))


def overconfident(temperature: float, count: int = 20_000) -> Outcomes:
    """Scores of a network whose true confidences would come out at that temperature."""
    rng = np.random.default_rng(3)
    true = rng.uniform(0.02, 0.98, count)
    scores = np.array(Calibration(1 / temperature).confidence(true), float)
    return Outcomes(np.clip(scores, 1e-6, 1 - 1e-6), rng.random(count) < true)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_is_found_again(temperature: float) -> None:
    given = overconfident(temperature)
    assert fit_temperature(given) == pytest.approx(temperature, rel=0.03)
    assert calibration_error(reliability(given, temperature)) < 0.01


def test_the_error_of_a_network_that_is_too_sure_falls() -> None:
    given = overconfident(2.0)
    assert calibration_error(reliability(given, 1.0)) > 0.1


def test_without_both_outcomes_nothing_is_fitted() -> None:
    assert fit_temperature(Outcomes(np.array([0.9]), np.array([True]))) == 1.0
    assert fit_temperature(Outcomes(np.empty(0), np.empty(0, bool))) == 1.0


def test_what_touches_a_defect_is_no_false_call_of_its_board() -> None:
    truth = boxed((0, 0, 10, 10, 0, 1))
    found = boxed((0, 0, 10, 10, 0, 0.9), (4, 4, 14, 14, 0, 0.8), (50, 50, 60, 60, 0, 0.7), (0, 0, 10, 10, 1, 0.6))
    each = Examined("a", "a", truth, found, boxed())
    first, second = class_detections([each], 2, 1.0)
    assert (first.truths, first.hits.tolist(), first.false.tolist()) == (1, [0.9], [0.7])
    assert first.others.tolist() == [0.8, 0.7]
    assert (second.truths, second.false.tolist(), second.others.tolist()) == (0, [], [0.6])
    assert outcomes([each], 2).right.tolist() == [True, False, False, False]


def test_without_a_budget_no_board_has_a_false_call() -> None:
    given = [detections(4, [0.9, 0.8, 0.5, 0.4], [0.6, 0.3], [0, 1])]
    (least,) = choose_thresholds(given, boards=100, budget=0)
    assert 0.6 < least < 0.8


def test_without_a_false_call_the_threshold_still_keeps_away_from_the_least_one() -> None:
    (sure, unsure) = choose_thresholds([detections(2, [0.95, 0.9], []), detections(2, [0.95, 0.12], [])], 13, 0)
    assert 0.3 < sure < 0.9
    assert 0.1 < unsure < 0.12


def test_the_budget_goes_where_it_gains_most() -> None:
    poor = detections(10, [0.9] * 9 + [0.5], [0.6], [0])
    rich = detections(10, [0.9] * 3 + [0.5] * 7, [0.6], [1])
    least = choose_thresholds([poor, rich], boards=100, budget=0.01)
    assert least[0] > 0.6
    assert least[1] < 0.5


def test_a_gain_behind_a_second_false_call_is_seen() -> None:
    given = [detections(4, [0.9, 0.5, 0.4, 0.3], [0.7, 0.6], [0, 1])]
    assert choose_thresholds(given, boards=100, budget=0.01)[0] > 0.7
    assert choose_thresholds(given, boards=100, budget=0.02)[0] < 0.3


def test_a_board_given_up_for_one_class_costs_no_other_anything() -> None:
    given = [detections(1, [0.5], [0.6], [7]), detections(1, [0.4], [0.7], [7])]
    assert max(choose_thresholds(given, boards=100, budget=0.01)) < 0.4


def test_false_calls_that_gain_nothing_are_not_allowed() -> None:
    (least,) = choose_thresholds([detections(1, [0.9], [0.6, 0.5], [0, 1])], boards=100, budget=0.5)
    assert least > 0.6


def test_a_class_without_defects_keeps_the_usual_threshold_or_a_higher_one() -> None:
    assert choose_thresholds([detections(0, []), detections(0, [], [0.8], [0])], 10, 0) == [0.5, 0.81]


def test_a_curve_and_its_drawing() -> None:
    found = curve(np.array([0.9, 0.7]), np.array([0.8]), truths=4, threshold=0.75)
    assert found.precision[:11] == (1.0,) * 11
    assert found.precision[11:21] == (0.6667,) * 10
    assert not any(found.precision[21:])
    assert (found.recall_at_threshold, found.precision_at_threshold) == (0.25, 0.5)
    assert "short</text>" in draw({"short": found.__dict__})
