"""The photo-eye of the virtual conveyor: says one trigger for each board that stands in place."""

import threading
from collections.abc import Callable

from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.times import NS_PER_S, now_ns, ns_to_ms
from simulator.schedule import Schedule


class Conveyor:
    """Runs in a thread of its own until `boards` have passed, or it is stopped.

    Args:
        send: publishes a trigger; `TriggerSource.send` also sees that it is recorded.
        announce: told (index, trigger) before the trigger is published.
        boards: how many; None for ever.
    """

    def __init__(
        self,
        schedule: Schedule,
        send: Callable[[Trigger], object],
        announce: Callable[[int, Trigger], None],
        boards: int | None = None,
    ) -> None:
        self._schedule = schedule
        self._send = send
        self._announce = announce
        self._left = boards
        self._stopping = threading.Event()
        self.finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="conveyor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        index = self._schedule.next_index(now_ns())
        while self._left != 0 and not self._wait_until(self._schedule.trigger_time(index)):
            self._publish(index)
            index += 1
            self._left = None if self._left is None else self._left - 1
        self.finished.set()

    def _wait_until(self, due: int) -> bool:
        """True if stopped meanwhile."""
        return self._stopping.wait(max(0, due - now_ns()) / NS_PER_S)

    def _publish(self, index: int) -> None:
        schedule = self._schedule
        triggered_at = schedule.trigger_time(index)
        trigger = Trigger(
            board_id=schedule.board_id(index),
            triggered_at=triggered_at,
            source="simulator",
            age_ms=max(0.0, ns_to_ms(now_ns() - triggered_at)),
        )
        self._announce(index, trigger)
        self._send(trigger)
