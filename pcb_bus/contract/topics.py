"""Topics as small value types, so that no service spells one out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Topic:
    """A concrete topic: no wildcards, at least one level."""

    name: str

    def __post_init__(self) -> None:
        if not self.name or any(character in self.name for character in "+#\0"):
            raise ValueError(f"not a topic to publish to: {self.name!r}")

    @property
    def leaf(self) -> str:
        """The last level: the side of a frame, the node of a status."""
        return self.name.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """What a subscription matches; `+` and `#` as in MQTT."""

    pattern: str

    def matches(self, topic: Topic | str) -> bool:
        levels, found = self.pattern.split("/"), str(topic).split("/")
        if found[0].startswith("$") and levels[0] in ("+", "#"):
            return False  # what the broker says of itself is heard by its name alone
        if levels[-1] == "#":
            levels.pop()
            found = found[: len(levels)]
        return len(levels) == len(found) and all(each in ("+", name) for each, name in zip(levels, found, strict=True))

    def __str__(self) -> str:
        return self.pattern


class _Below(Generic[T]):
    """An attribute that is made from the root of the line."""

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make

    def __get__(self, line: "Topics", _: type) -> T:
        return self._make(line.root)


def _one(name: str) -> _Below[Topic]:
    return _Below(lambda root: Topic(f"{root}/{name}"))


def _each(name: str) -> _Below[Callable[[str], Topic]]:
    return _Below(lambda root: lambda leaf: Topic(f"{root}/{name}/{leaf}"))


def _all(pattern: str) -> _Below[TopicFilter]:
    return _Below(lambda root: TopicFilter(f"{root}/{pattern}"))


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one line. A second line is a second root.

    `frame` and the like take the side, the node or the requester: `topics.frame("left")`.

    Raises:
        ValueError: the root has wildcards, or empty levels.
    """

    root: str = "pcb"

    def __post_init__(self) -> None:
        if not all(Topic(self.root).name.split("/")) or self.root.startswith("$"):
            raise ValueError(f"not a topic root: {self.root!r}")

    trigger = _one("trigger")
    verdict = _one("verdict")
    recorded = _one("recorded")
    actuation = _one("actuation")
    unreported = _one("unreported")
    resend_verdict = _one("resend/verdict")
    resend_actuation = _one("resend/actuation")
    resend_trigger = _one("resend/trigger")
    config = _one("config")
    clock = _one("clock")

    frame = _each("frame")
    preview = _each("preview")
    serial = _each("serial")
    evidence = _each("evidence")
    resend_evidence = _each("resend/evidence")
    status = _each("status")
    event = _each("event")
    command = _each("command")
    reply = _each("reply")
    inspect = _each("inspect")

    frames = _all("frame/+")
    all_serials = _all("serial/+")
    all_evidence = _all("evidence/+")
    all_resent_evidence = _all("resend/evidence/+")
    all_previews = _all("preview/+")
    all_status = _all("status/+")
    all_events = _all("event/+")
    all_inspect = _all("inspect/+")
    everything = _all("#")


def exactly(topic: Topic) -> TopicFilter:
    """The filter that matches this topic alone."""
    return TopicFilter(topic.name)
