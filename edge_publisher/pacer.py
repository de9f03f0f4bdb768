"""Which pictures to send when only so many a second are wanted."""

from pcb_bus.contract.times import NS_PER_S


class Pacer:
    """At most `fps` a second, evenly: slots of 1/fps s, each for the first picture that comes in time for it."""

    def __init__(self, fps: float) -> None:
        self._period = round(NS_PER_S / fps)
        self._slot: int | None = None

    def pace(self, fps: float) -> None:
        """From now on; the slot that comes next stays where it is. Any thread."""
        self._period = round(NS_PER_S / fps)

    def due(self, at: int) -> bool:
        """Whether to send the picture of the time `at` (ns); if so, its slot is taken."""
        slot = self._slot
        if slot is None or at < slot - 2 * self._period:  # the first one, or the clock was set back
            slot = at
        if at < slot - self._period // 4:
            return False
        late = at - slot
        self._slot = (slot if late < self._period // 2 else at) + self._period
        return True
