"""Moves the gates to the safe state while the line is away, and back by itself."""

from collections.abc import Callable, Mapping

from actuator.decision import GatePlan
from actuator.driver import SafeState
from actuator.line_watch import LineWatch
from actuator.settings import SafeStateSettings
from pcb_bus.contract.times import NS_PER_S, ms_to_ns

GoSafe = Callable[[SafeState], None]
OnLost = Callable[[str], None]

_LOOK_S = 0.5


class Guard:
    """Used by one thread. It never arms: what a person or the interlock disarmed stays so.

    Args:
        settings: what to do, and after how long.
        plans: the gates.
        go_safe: switches them.
        on_lost: hears in words what is lost, at each change; empty when the line is back.
    """

    def __init__(
        self, settings: SafeStateSettings, plans: Mapping[str, GatePlan], go_safe: GoSafe, on_lost: OnLost
    ) -> None:
        self.watch = LineWatch(ms_to_ns(settings.after_ms))
        self._safe = _safe_state(settings, plans)
        self._go_safe = go_safe
        self._on_lost = on_lost
        self._lost = ""

    def tick(self, now: int, *, connected: bool) -> float:
        """Look at the line; returns in how many seconds to look again. `now`: monotonic ns."""
        self.watch.broker(connected=connected, now=now)
        lost = ", ".join(self.watch.lost(now))
        if lost != self._lost:
            if bool(lost) != bool(self._lost):
                self._go_safe(self._safe if lost else SafeState())
            self._lost = lost
            self._on_lost(lost)
        next_at = self.watch.next_at(now)
        return _LOOK_S if next_at is None else min(_LOOK_S, (next_at - now) / NS_PER_S)


def _safe_state(settings: SafeStateSettings, plans: Mapping[str, GatePlan]) -> SafeState:
    held = None if settings.category is None else plans[settings.category].pin
    return SafeState(paused=settings.mode == "stop", held=held)
