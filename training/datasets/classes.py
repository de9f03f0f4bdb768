"""Class names of foreign labels in the words of the taxonomy: spelling is made good, meaning is never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from training.datasets.errors import DatasetError

#: The same thing under another name; all others have to be said with `--map`.
_SYNONYMS = {"open": "open_circuit", "short_circuit": "short"}


@dataclass(frozen=True)
class ClassNames:
    """From a source's names to the taxonomy's.

    Args:
        known: the classes of the taxonomy.
        given: `--map theirs=ours`; an empty name on the right leaves a class out.
    """

    known: tuple[str, ...]
    given: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for theirs, ours in self.given.items():
            if ours and ours not in self.known:
                raise DatasetError(f"--map {theirs}={ours}: {ours} is none of {', '.join(self.known)}")

    def translate(self, name: str) -> str | None:
        """The taxonomy's name; an empty one when the class is to be left out; None when it is unknown."""
        for theirs, ours in self.given.items():
            if plain(name) == plain(theirs):
                return ours
        return self._spelled().get(plain(name))

    def _spelled(self) -> dict[str, str]:
        spelled = {plain(name): name for name in self.known}
        return {plain(synonym): name for synonym, name in _SYNONYMS.items() if name in self.known} | spelled


def plain(name: str) -> str:
    """A name without case, separators and plural: `Mouse bites`, `mouse-bite` and `mousebite` are one."""
    return re.sub(r"[\W_]+", "", name.lower()).removesuffix("s")


def parse_map(pairs: Iterable[str]) -> dict[str, str]:
    """`theirs=ours` pairs as a table; `-` on the right is nothing. Raises DatasetError for anything else."""
    table: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not equals or not theirs.strip():
            raise DatasetError(f"--map {pair}: not theirs=ours")
        table[theirs.strip()] = ours.strip().removeprefix("-")
    return table
