"""Draws the boards of a schedule as one camera sees them, each before it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pcb_bus.contract.times import NS_PER_S, now_ns
from simulator.assembled.board import AssembledBoard
from simulator.assembled.photograph import Conditions
from simulator.bare_board import draw_board
from simulator.product import design_of, draw_side
from simulator.schedule import BARE, Fault, Schedule

Image = npt.NDArray[np.uint8]
Noise = npt.NDArray[np.int16]
Draw = Callable[[int], Image]

#: A camera adds noise of its own to every picture of a board, so little of it is drawn with the board.
STATION = Conditions(noise=(0.0, 3.4))
_NOISE_SIGMA = 2.0
_AFTER = 0.2  # of a period: by then the board in place is judged, and the processor free


def board_drawer(schedule: Schedule, side: str, width: int, height: int) -> Draw:
    """Draws boards by their number, uint8, height x width x 3 (BGR).

    Raises:
        NoRoomForDefects: such a picture is too small for the product.
    """
    if schedule.look == BARE:
        return lambda index: _bare(schedule, index, side, width, height)
    assembled = assembled_drawer(schedule, side, width, height)
    return lambda index: assembled(index).image


def assembled_drawer(schedule: Schedule, side: str, width: int, height: int) -> Callable[[int], AssembledBoard]:
    """As `board_drawer`, of assembled boards alone, with the boxes of what is wrong with them."""
    design = design_of(schedule.product, side, width, height)

    def draw(index: int) -> AssembledBoard:
        return draw_side(design, schedule.board_seed(index, side), *_names(schedule.faults(index, side)), STATION)

    return draw


def sensor_noise(width: int, height: int, seed: int) -> Sequence[Noise]:
    """A few pictures of noise, made once: fresh noise costs a camera more time than everything else."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, _NOISE_SIGMA, (height, width, 3)).astype(np.int16) for _ in range(4)]


def exposed(view: Image, noise: Noise) -> Image:
    """One picture of what stands before the sensor."""
    return np.asarray(cv2.add(view, noise, dtype=cv2.CV_8U), np.uint8)


@dataclass(frozen=True, slots=True)
class _Coming:
    """A picture that is being drawn, or will be; `hurry` ends the wait for a better time."""

    hurry: threading.Event
    picture: Future[Image]

    def forget(self) -> None:
        self.picture.cancel()
        self.hurry.set()


class DrawnAhead:
    """The board in place, and the next one, drawn by a thread while the first one stands.

    Args:
        draw: the picture of a board by its number.
    """

    def __init__(self, schedule: Schedule, draw: Draw) -> None:
        self._schedule = schedule
        self._draw = draw
        self._boards: dict[int, _Coming] = {}
        self._hand = ThreadPoolExecutor(1, "draw")

    def board(self, index: int) -> Image:
        """Waits until it is drawn; then the next one is begun, once there is time."""
        for number in [each for each in self._boards if not index <= each <= index + 1]:
            self._boards.pop(number).forget()
        wanted = self._coming(index)
        wanted.hurry.set()
        self._coming(index + 1)
        return wanted.picture.result()

    def close(self) -> None:
        for each in list(self._boards.values()):  # another thread may be reading
            each.forget()
        self._hand.shutdown()

    def _coming(self, index: int) -> _Coming:
        if index not in self._boards:
            hurry = threading.Event()
            self._boards[index] = _Coming(hurry, self._hand.submit(self._drawn, index, hurry))
        return self._boards[index]

    def _drawn(self, index: int, hurry: threading.Event) -> Image:
        judged = self._schedule.trigger_time(index - 1) + _AFTER * self._schedule.period_ns
        hurry.wait(max(0.0, judged - now_ns()) / NS_PER_S)
        return self._draw(index)


def _bare(schedule: Schedule, index: int, side: str, width: int, height: int) -> Image:
    defects, _ = _names(schedule.faults(index, side))
    return draw_board(schedule.board_seed(index, side), width, height, defects).image


def _names(faults: tuple[Fault, ...]) -> tuple[list[str], list[str]]:
    """Defects and oddities."""
    return [each.name for each in faults if not each.odd], [each.name for each in faults if each.odd]
