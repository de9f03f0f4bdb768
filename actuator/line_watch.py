"""Whether the line that judges is there: the broker, and inference. Pure: `now` is monotonic ns."""

from dataclasses import dataclass, field

NO_BROKER = "no broker"
NO_INFERENCE = "inference is away"


@dataclass(slots=True)
class LineWatch:
    """What has been away for `after_ns` is lost. An inference of which nobody ever spoke is none that could be away."""

    after_ns: int
    _away_since: dict[str, int] = field(default_factory=dict)

    def broker(self, *, connected: bool, now: int) -> None:
        self._note(NO_BROKER, here=connected, now=now)

    def inference(self, *, here: bool, now: int) -> None:
        self._note(NO_INFERENCE, here=here, now=now)

    def lost(self, now: int) -> tuple[str, ...]:
        """What is lost, in words; empty when the line is there."""
        return tuple(what for what, since in sorted(self._away_since.items()) if now - since >= self.after_ns)

    def next_at(self, now: int) -> int | None:
        """When something more will be lost, unless it comes back."""
        return min((at for since in self._away_since.values() if (at := since + self.after_ns) > now), default=None)

    def _note(self, what: str, *, here: bool, now: int) -> None:
        if here:
            self._away_since.pop(what, None)
        else:
            self._away_since.setdefault(what, now)
