"""Chooses a model's temperature and thresholds on boards that it was neither trained on nor will be measured on.

Temperature scaling (Guo et al. 2017): one number divides every logit, so that of the detections with confidence 0.9
nine in ten are right. Thresholds: of all that keep the false calls within the budget, those that find most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference_subscriber.engines.base import USUAL_THRESHOLD
from inference_subscriber.engines.calibration import Calibration
from training.boxes import iou_matrix
from training.evaluation.average_precision import match
from training.evaluation.examine import Examined

Floats = npt.NDArray[np.float64]
_LEAST_SCORE = 0.05  # below it lie countless detections that nobody would ever see
_BINS = 15
_LOWEST, _HIGHEST = 0.1, 0.99
_TOUCHING = 0.1  # IoU from which a detection is about a defect that is there, if not well placed


@dataclass(frozen=True)
class Bin:
    """Detections of similar confidence: how many, their mean confidence, and the share that is right."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Outcomes:
    """Detections with the network's score and whether each hits a defect of its class (IoU 0.5)."""

    scores: Floats
    right: npt.NDArray[np.bool_]

    def at(self, temperature: float) -> Floats:
        return np.asarray(Calibration(temperature).confidence(self.scores), float)


@dataclass(frozen=True)
class ClassDetections:
    """One class: confidences of the hits, of all others, and of each false call with its board.

    `truths` defects are there. Doubles and confusions at a defect are among the others, but no false calls of a board.
    """

    truths: int
    hits: Floats
    others: Floats
    false: Floats
    boards: npt.NDArray[np.int64]


def outcomes(examined: Sequence[Examined], classes: int) -> Outcomes:
    """Of all detections of uncalibrated scores from 0.05."""
    scores, right = [np.empty(0)], [np.empty(0, bool)]
    for each in examined:
        for index in range(classes):
            truths, found = each.truths.of_class(index), each.found.of_class(index)
            sure = found.confidences >= _LEAST_SCORE
            right.append(match(truths.boxes, found.boxes, found.confidences, 0.5)[sure])
            scores.append(found.confidences[sure])
    return Outcomes(np.clip(np.concatenate(scores), 1e-6, 1 - 1e-6), np.concatenate(right))


def fit_temperature(given: Outcomes) -> float:
    """The temperature of least negative log likelihood, 0.2 to 5 (golden section on its logarithm); 1 without data."""
    if not given.right.any() or given.right.all():
        return 1.0
    low, high = np.log(0.2), np.log(5.0)
    golden = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        a, b = high - golden * (high - low), low + golden * (high - low)
        if _loss(given, np.exp(a)) < _loss(given, np.exp(b)):
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2))


def reliability(given: Outcomes, temperature: float) -> list[Bin]:
    """The reliability diagram: 15 bins of equal width, the empty ones left out."""
    confidences = given.at(temperature)
    places = np.minimum((confidences * _BINS).astype(int), _BINS - 1)
    members = [places == index for index in range(_BINS)]
    return [Bin(int(m.sum()), float(confidences[m].mean()), float(given.right[m].mean())) for m in members if m.any()]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: how far confidence and share of right ones lie apart, on average."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.confidence - each.right) for each in bins) / total if total else 0.0


def class_detections(examined: Sequence[Examined], classes: int, temperature: float) -> list[ClassDetections]:
    """What thresholds are chosen from."""
    calibration = Calibration(temperature)
    board_of = {name: number for number, name in enumerate(dict.fromkeys(each.board for each in examined))}
    result = []
    for index in range(classes):
        hits, others, false, boards, truths = [np.empty(0)], [np.empty(0)], [np.empty(0)], [np.empty(0, np.int64)], 0
        for each in examined:
            wanted, found = each.truths.of_class(index), each.found.of_class(index)
            right = match(wanted.boxes, found.boxes, found.confidences, 0.5)
            apart = ~(iou_matrix(found.boxes, each.truths.boxes) > _TOUCHING).any(axis=1)
            confidences = np.asarray(calibration.confidence(found.confidences), float)
            truths += len(wanted.boxes)
            hits.append(confidences[right])
            others.append(confidences[~right])
            false.append(confidences[apart & ~right])
            boards.append(np.full(int((apart & ~right).sum()), board_of[each.board]))
        kept, stray, wrong = (np.concatenate(part) for part in (hits, others, false))
        result.append(ClassDetections(truths, kept, stray, wrong, np.concatenate(boards)))
    return result


def choose_thresholds(given: Sequence[ClassDetections], boards: int, budget: float) -> list[float]:
    """For each class the least confidence, so that at most `budget` of the boards have a false call of any class.

    Starts where no board has one, then gives up boards, each time in the class that gains most recall a board by it.
    A threshold lies half way, in logits, between the last hit that it lets through and the first false call that it
    stops; where none is known, as on few boards, between that hit and the least threshold: a false call not seen yet
    may lie anywhere below. A class without a defect to choose from has the usual threshold, or a higher one that the
    budget asks for.
    """
    spent: frozenset[int] = frozenset()
    allowed = int(budget * boards)
    while len(spent) < allowed:
        gain, chosen = max((_offer(each, spent, allowed - len(spent)) for each in given), key=lambda offer: offer[0])
        if gain <= 0:
            break
        spent |= chosen
    floors = [_floor(each, spent) for each in given]
    return [_threshold(each, floor) for each, floor in zip(given, floors, strict=True)]


def _loss(given: Outcomes, temperature: float) -> float:
    confidences = given.at(temperature)
    return float(-np.log(np.where(given.right, confidences, 1 - confidences)).mean())


def _floor(each: ClassDetections, spent: frozenset[int]) -> float:
    """Confidence of the surest false call on a board that is not given up; the threshold lies above."""
    kept = each.false[~np.isin(each.boards, list(spent))]
    return float(kept.max(initial=0.0))


def _offer(each: ClassDetections, spent: frozenset[int], most: int) -> tuple[float, frozenset[int]]:
    """The best gain in recall a board, and the boards (its surest false calls, up to `most`) to give up for it."""
    order = np.argsort(-each.false, kind="stable")
    boards = [board for board in dict.fromkeys(each.boards[order].tolist()) if board not in spent]
    before, best = _floor(each, spent), (0.0, frozenset[int]())
    for count in range(1, min(most, len(boards)) + 1):
        given_up = frozenset(boards[:count])
        lower = max(_floor(each, spent | given_up), _LOWEST)
        gain = float(((each.hits > lower) & (each.hits <= before)).sum()) / max(each.truths, 1) / count
        best = max(best, (gain, given_up), key=lambda offer: offer[0])
    return best


def _threshold(each: ClassDetections, floor: float) -> float:
    if not each.truths:
        return round(min(max(floor + 0.01, USUAL_THRESHOLD), _HIGHEST), 4)
    floor = max(floor, _LOWEST)
    above = each.hits[each.hits > floor]
    ceiling = float(above.min()) if len(above) else 1.0
    middle = 1 / (1 + np.exp(-(_logit(floor) + _logit(ceiling)) / 2))
    return round(float(min(max(middle, _LOWEST), _HIGHEST)), 4)


def _logit(share: float) -> float:
    bounded = min(max(share, 1e-6), 1 - 1e-6)
    return float(np.log(bounded / (1 - bounded)))
