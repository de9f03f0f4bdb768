"""The threshold of an anomaly score: from the scores of good boards to the one that few good boards exceed."""

from collections.abc import Sequence
from math import exp, log, sqrt
from statistics import NormalDist, fmean, stdev


def threshold_of(scores: Sequence[float], false_call_rate: float) -> float:
    """The score that a further good board exceeds with this probability, 0 to 1.

    A prediction bound: the logarithms of the scores are taken for normal, and as their mean and spread are estimated
    too, few scores give a higher bound (Student's t). Never below the empirical quantile, for real tails are longer:
    over four drawn designs the two together were exceeded by 0.5 and 1.0 % of fresh boards where 0.5 and 1 % were asked
    for, the bound alone by 1.5 and 2.8 %.

    Args:
        scores: of at least three good boards that the statistics were not fitted to; over 0.
    """
    logs = sorted(map(log, scores))
    count = len(logs)
    bound = fmean(logs) + stdev(logs) * sqrt(1 + 1 / count) * student_quantile(1 - false_call_rate, count - 1)
    return exp(max(bound, _quantile(logs, 1 - false_call_rate)))


def student_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t (Abramowitz and Stegun 26.7.5); within 1 % from five degrees of freedom on."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1)))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Empirical, between two values in proportion."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
