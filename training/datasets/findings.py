"""What the checks find: errors stop a training, warnings want a look, notes tell what was done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum


class Level(StrEnum):
    """How much a finding weighs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Kind(Enum):
    """Every kind of finding: its level and its title. The order is that of the reports."""

    MISSING_FILE = Level.ERROR, "a file that is listed and not there"
    BAD_IMAGE = Level.ERROR, "an image that cannot be read"
    NO_LABELS = Level.ERROR, "an image without labels"
    NO_IMAGE = Level.ERROR, "labels without an image"
    BAD_LABEL = Level.ERROR, "a label that cannot be read"
    CLASS_INDEX = Level.ERROR, "a class number that has no name"
    UNKNOWN_CLASS = Level.ERROR, "a class that the taxonomy does not know"
    NOT_A_NUMBER = Level.ERROR, "a box with coordinates that are no numbers"
    EMPTY_BOX = Level.ERROR, "a box that is empty or inverted"
    OUTSIDE = Level.ERROR, "a box that reaches outside of its image"
    OTHER_SIZE = Level.ERROR, "an image of another size than its labels say"
    LEAK = Level.ERROR, "one picture in two parts"
    GROUP_LEAK = Level.ERROR, "one group in two parts"
    EMPTY_PART = Level.ERROR, "a part without images"
    SHARED_GROUP = Level.WARNING, "one group in two parts, as published"
    TWIN = Level.WARNING, "one picture more than once in a part"
    TINY_BOX = Level.WARNING, "a box too small to be seen"
    REPEATED_BOX = Level.WARNING, "a box given twice"
    ABSENT_CLASS = Level.WARNING, "a class that a part lacks"
    CROWD = Level.WARNING, "a crowd region, left out"
    LEFT_OUT = Level.WARNING, "left out on request"
    UNLISTED = Level.WARNING, "an image that nothing names"
    RENAMED = Level.NOTE, "a class under another name"
    OUTLINE = Level.NOTE, "an outline taken as its box"
    DECLARED_GOOD = Level.NOTE, "an image without labels, declared good"
    SPLIT = Level.NOTE, "how the parts were made"

    @property
    def level(self) -> Level:
        return self.value[0]

    @property
    def title(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: `where` names the file, and the line where there is one."""

    kind: Kind
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.message else self.where


def count(findings: Iterable[Finding], level: Level) -> int:
    """How many findings weigh that much."""
    return sum(finding.kind.level is level for finding in findings)


def by_kind(findings: Iterable[Finding]) -> Mapping[Kind, Sequence[Finding]]:
    """The findings of each kind, errors first."""
    grouped: dict[Kind, list[Finding]] = defaultdict(list)
    for finding in findings:
        grouped[finding.kind].append(finding)
    return {kind: grouped[kind] for kind in Kind if kind in grouped}
