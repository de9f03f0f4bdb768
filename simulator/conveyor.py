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

_EMPTY_NS = NS_PER_S  # so long the cameras see the belt alone before the first board


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


class Boards:
    """Boards that pass, one after the other, in a thread of its own until `boards` have, or it is stopped.

    Args:
        boards: how many; None for ever.
    """

    def __init__(self, boards: int | None = None) -> None:
        self._left = boards
        self._stopping = threading.Event()
        self.finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="conveyor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more boards from now on."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        index = self._first()
        while self._left != 0 and not self._stopping.wait(max(0, self._due(index) - now_ns()) / NS_PER_S):
            self._comes(index)
            index += 1
            self._left = None if self._left is None else self._left - 1
        self.finished.set()

    def _first(self) -> int:
        raise NotImplementedError

    def _due(self, index: int) -> int:
        raise NotImplementedError

    def _comes(self, index: int) -> None:
        raise NotImplementedError


class Conveyor(Boards):
    """A photo-eye announces the boards.

    Args:
        send: publishes a trigger; `TriggerSource.send` also sees that it is recorded.
        announce: told (index, trigger) before the trigger is published.
    """

    def __init__(
        self,
        schedule: Schedule,
        send: Callable[[Trigger], object],
        announce: Callable[[int, Trigger], None],
        boards: int | None = None,
    ) -> None:
        super().__init__(boards)
        self._schedule = schedule
        self._send = send
        self._announce = announce

    def _first(self) -> int:
        return self._schedule.next_index(now_ns())

    def _due(self, index: int) -> int:
        return self._schedule.trigger_time(index)

    def _comes(self, index: int) -> None:
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


class Unannounced(Boards):
    """Boards are put on a belt that was empty before, and nobody announces them.

    Args:
        load: the file by which the cameras know them.
        comes: told the number of a board that is about to come into view.
    """

    def __init__(self, schedule: Schedule, load: Path, comes: Callable[[int], None], boards: int | None = None) -> None:
        super().__init__(boards)
        self._schedule = schedule
        self._file = load
        self._comes_into_view = comes
        self._load = Load(0, -1)

    def stop(self) -> None:
        """No more boards from now on, but for those that are in view."""
        super().stop()
        if self._load.first is not None:
            self._load.write(self._file)

    def _first(self) -> int:
        travel = self._schedule.trigger_time(0) - self._schedule.comes_into_view_at(0)
        first = self._schedule.next_index(now_ns() + _EMPTY_NS + travel)
        Load(first, None if self._left is None else first + self._left - 1).write(self._file)
        self._load = Load(first, first - 1)
        return first

    def _due(self, index: int) -> int:
        return self._schedule.comes_into_view_at(index)

    def _comes(self, index: int) -> None:
        self._comes_into_view(index)
        self._load = Load(self._load.first, index)
