"""What a factory counts: bad boards that pass, good boards that are thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from pcb_bus.contract.messages import Category
from pcb_bus.contract.taxonomy import Taxonomy

_Z = 1.959964  # 95 % of a normal distribution lie within


@dataclass(frozen=True)
class Inspected:
    """One board: the classes of the defects that it has, and of those that were called, of all its images."""

    name: str
    has: tuple[str, ...]
    called: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """So many of so many, with the interval in which the true share lies in 95 of 100 cases (Wilson 1927)."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        share, n = self.count / self.of, self.of
        middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        half = _Z / (1 + _Z**2 / n) * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Rates:
    """Escapes among the bad boards, false calls among the good ones, and bad boards that go to a wrong gate.

    `wrong_gate` is None where there are no gates: any defect is a defect.
    """

    escapes: Share
    false_calls: Share
    wrong_gate: Share | None = None


def any_defect(boards: Sequence[Inspected]) -> Rates:
    """A board is bad when it has a defect of any class, minor ones too; it is called bad when anything is called."""
    bad = [board for board in boards if board.has]
    good = [board for board in boards if not board.has]
    return Rates(
        Share(sum(not board.called for board in bad), len(bad)),
        Share(sum(bool(board.called) for board in good), len(good)),
    )


def by_verdict(boards: Sequence[Inspected], taxonomy: Taxonomy) -> Rates:
    """As the gates see it: a board whose defects are all minor is good, and one on which only such are called passes.

    Raises KeyError for a class that the taxonomy does not know.
    """
    verdicts = [(_category(board.has, taxonomy), _category(board.called, taxonomy)) for board in boards]
    bad = [pair for pair in verdicts if pair[0] != "normal"]
    good = [called for truth, called in verdicts if truth == "normal"]
    caught = [pair for pair in bad if pair[1] != "normal"]
    return Rates(
        Share(len(bad) - len(caught), len(bad)),
        Share(sum(called != "normal" for called in good), len(good)),
        Share(sum(truth != called for truth, called in caught), len(caught)),
    )


def _category(classes: Sequence[str], taxonomy: Taxonomy) -> Category:
    return taxonomy.worst(taxonomy.category_of(name) for name in classes)
