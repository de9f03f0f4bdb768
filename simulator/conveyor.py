"""The virtual conveyor: which boards ride on it, and its photo-eye: one trigger for each that stands in place."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pcb_bus.contract.messages import Trigger
from pcb_bus.contract.times import NS_PER_S, now_ns, ns_to_ms
from pcb_bus.durable.files import private
from simulator.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Load:
    """The boards that ride on the belt, by their numbers, both ends included; None: no end.

    It stands in a file, so that the cameras' processes know when the first one comes and which is the last.
    """

    first: int | None = None
    last: int | None = None

    @classmethod
    def read(cls, file: Path) -> Self:
        """An empty belt as long as there is no file."""
        try:
            first, last = file.read_text(encoding="ascii").split()
        except FileNotFoundError:
            return cls(0, -1)
        return cls(int(first), None if last == "-" else int(last))

    def write(self, file: Path) -> None:
        """At once as a whole: cameras may be reading. `first` is known."""
        new = file.with_suffix(".new")
        with open(new, "w", encoding="ascii", opener=private) as out:
            out.write(f"{self.first} {'-' if self.last is None else self.last}\n")
        new.replace(file)

    def carries(self, index: int) -> bool:
        return (self.first is None or index >= self.first) and (self.last is None or index <= self.last)


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
