"""What arrived, before anybody has read it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["trigger", "verdict", "actuation", "evidence", "event"]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came, and what it should be. `received_at` is ns since the epoch."""

    kind: Kind
    topic: str
    payload: bytes = field(repr=False)
    received_at: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """An arrival that the broker keeps until `ack` is called."""

    arrival: Arrival
    ack: Callable[[], None] = field(repr=False)
