"""How full an outbox is, and when a person should hear of it. Pure."""

from dataclasses import dataclass

from pcb_bus.contract.messages import Level

_WARN_AT, _ALARM_AT = 0.5, 0.9
_SLACK = 0.1  # so that a fill that wavers around a mark is told once
_FINE, _HALF, _NEARLY, _REFUSES = range(4)
_DETAILS = ("", "the outbox is half full", "the outbox is nearly full", "the outbox takes no more")


@dataclass(frozen=True, slots=True)
class Alert:
    """What to tell."""

    level: Level
    message: str


_ALERTS = (
    Alert("info", "the outbox empties: the recorder is back"),
    Alert("warning", "the outbox is half full: the recorder does not say that it recorded"),
    Alert("error", "the outbox is nearly full: the recorder does not say that it recorded"),
    Alert("critical", "the outbox takes no more: what the broker and the recorder lose now is lost"),
)


class Fullness:
    """Follows one outbox."""

    def __init__(self) -> None:
        self._stage = _FINE

    @property
    def detail(self) -> str:
        """For the state of the node; empty when all is well."""
        return _DETAILS[self._stage]

    def see(self, fill: float, fault: str | None) -> Alert | None:
        """What to tell now that this share is taken, and the latest message was not kept because of `fault`."""
        before, self._stage = self._stage, self._next(fill, fault)
        told = self._stage > before or (self._stage == _FINE and before != _FINE)
        return _ALERTS[self._stage] if told else None

    def _next(self, fill: float, fault: str | None) -> int:
        if fault is not None:
            return _REFUSES
        rising, falling = _stage(fill), _stage(fill + _SLACK)
        return max(rising, min(self._stage, falling))


def _stage(fill: float) -> int:
    return (fill >= _WARN_AT) + (fill >= _ALARM_AT)
