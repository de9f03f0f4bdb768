"""Topics as small value types, so that no service spells one out."""

from dataclasses import dataclass

from paho.mqtt.client import topic_matches_sub


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
        return topic_matches_sub(self.pattern, str(topic))

    def __str__(self) -> str:
        return self.pattern


@dataclass(frozen=True, slots=True)
class Topics:
    """Every topic of one line. A second line is a second root.

    Raises:
        ValueError: the root has wildcards, or empty levels.
    """

    root: str = "pcb"

    def __post_init__(self) -> None:
        if not all(Topic(self.root).name.split("/")) or self.root.startswith("$"):
            raise ValueError(f"not a topic root: {self.root!r}")

    def _topic(self, *levels: str) -> Topic:
        return Topic("/".join((self.root, *levels)))

    def _filter(self, *levels: str) -> TopicFilter:
        return TopicFilter("/".join((self.root, *levels)))

    @property
    def trigger(self) -> Topic:
        return self._topic("trigger")

    @property
    def verdict(self) -> Topic:
        return self._topic("verdict")

    @property
    def recorded(self) -> Topic:
        return self._topic("recorded")

    @property
    def actuation(self) -> Topic:
        return self._topic("actuation")

    @property
    def unreported(self) -> Topic:
        return self._topic("unreported")

    @property
    def resend_verdict(self) -> Topic:
        return self._topic("resend", "verdict")

    @property
    def resend_actuation(self) -> Topic:
        return self._topic("resend", "actuation")

    @property
    def resend_trigger(self) -> Topic:
        return self._topic("resend", "trigger")

    @property
    def config(self) -> Topic:
        return self._topic("config")

    def frame(self, side: str) -> Topic:
        return self._topic("frame", side)

    def preview(self, side: str) -> Topic:
        return self._topic("preview", side)

    def evidence(self, side: str) -> Topic:
        return self._topic("evidence", side)

    def status(self, node: str) -> Topic:
        return self._topic("status", node)

    def event(self, node: str) -> Topic:
        return self._topic("event", node)

    def command(self, node: str) -> Topic:
        return self._topic("command", node)

    def reply(self, requester: str) -> Topic:
        return self._topic("reply", requester)

    @property
    def frames(self) -> TopicFilter:
        return self._filter("frame", "+")

    @property
    def all_evidence(self) -> TopicFilter:
        return self._filter("evidence", "+")

    @property
    def all_status(self) -> TopicFilter:
        return self._filter("status", "+")

    @property
    def all_events(self) -> TopicFilter:
        return self._filter("event", "+")

    @property
    def everything(self) -> TopicFilter:
        return self._filter("#")


def exactly(topic: Topic) -> TopicFilter:
    """The filter that matches this topic alone."""
    return TopicFilter(topic.name)
