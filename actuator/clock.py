"""The two clocks of a station: what time it is, and how much has passed whatever the time jumps to."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pcb_bus.contract.times import now_ns


@dataclass(frozen=True, slots=True)
class Clock:
    """Both in ns: `wall` since the epoch, `monotonic` since some moment."""

    wall: Callable[[], int] = now_ns
    monotonic: Callable[[], int] = time.monotonic_ns
