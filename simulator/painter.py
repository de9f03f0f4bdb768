"""Draws the belt and the boards of a schedule as one camera sees them, each board before it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
import zxingcpp

from pcb_bus.contract.times import NS_PER_S, now_ns
from simulator.assembled.board import AssembledBoard
from simulator.assembled.photograph import Conditions
from simulator.bare_board import DrawnDefect, draw_board
from simulator.product import design_of, draw_side
from simulator.schedule import BARE, NO_SERIALS, SERIALS, Fault, Schedule

Image = npt.NDArray[np.uint8]
Noise = npt.NDArray[np.int16]
Draw = Callable[[int], Image]

#: A camera adds noise of its own to every picture of a board, so little of it is drawn with the board.
STATION = Conditions(noise=(0.0, 3.4))
_NOISE_SIGMA = 2.0
_AHEAD = 1.6  # periods before a board is in place: those on the belt are drawn, the last one judged, the processor free
_BELT_BGR = (52, 56, 60)
_PITCH = 1.15  # from board to board, in widths of the picture
_EXPOSURE_S = 0.003
_LEAST_MODULE = 3  # pixels of a code


def board_drawer(schedule: Schedule, side: str, width: int, height: int) -> Draw:
    """Draws boards in their place by their number, uint8, height x width x 3 (BGR).

    Raises:
        NoRoomForDefects: such a picture is too small for the product.
    """
    if schedule.look == BARE:
        belt = Belt(schedule, width, height)
        return lambda index: belt.in_place(_labelled(schedule, index, _bare(schedule, index, side, *belt.board)))
    assembled = assembled_drawer(schedule, side, width, height)
    return lambda index: assembled(index).image


def assembled_drawer(schedule: Schedule, side: str, width: int, height: int) -> Callable[[int], AssembledBoard]:
    """As `board_drawer`, of assembled boards alone, with the boxes of what is wrong with them."""
    belt = Belt(schedule, width, height)
    design = design_of(schedule.product, side, *belt.board)

    def draw(index: int) -> AssembledBoard:
        names = _names(schedule.faults(index, side))
        board = draw_side(design, schedule.board_seed(index, side), *names, STATION)
        defects, oddities = (tuple(map(belt.moved, each)) for each in (board.defects, board.oddities))
        return AssembledBoard(belt.in_place(_labelled(schedule, index, board.image)), defects, oddities)

    return draw


class Belt:
    """The belt of a schedule before one camera: where boards are in its pictures, and what is seen around them.

    Attributes:
        board: width and height of a board, pixels.
    """

    def __init__(self, schedule: Schedule, width: int, height: int) -> None:
        self._schedule = schedule
        self._width = width
        self._pitch = round(_PITCH * width)
        self._left, self._top = left, top = round(schedule.margin * width), round(schedule.margin * height)
        self._place = slice(top, height - top), slice(left, width - left)
        self.board = width - 2 * left, height - 2 * top
        self._empty = np.full((height, width, 3), _BELT_BGR, np.uint8)
        speed = self._pitch * schedule.rate / (1 - schedule.standstill)
        self._blur = round(_EXPOSURE_S * speed) if schedule.margin else 0  # a photo-eye waits until a board stands

    def in_place(self, board: Image) -> Image:
        """The picture of a board that stands."""
        view = self._empty.copy()
        view[self._place] = board
        return view

    def moved(self, box: DrawnDefect) -> DrawnDefect:
        """Where that box of a board is in the picture."""
        left, top = self._left, self._top
        return replace(box, x1=box.x1 + left, y1=box.y1 + top, x2=box.x2 + left, y2=box.y2 + top)

    def in_view(self, now: int) -> Sequence[int]:
        """The numbers of the boards that may be seen, the one that came first before the others."""
        nearest, offset = self._schedule.index_at(now), self._schedule.offset_at(now)
        if offset == 0:
            return (nearest,)
        return (nearest - 1, nearest) if offset < 0 else (nearest, nearest + 1)

    def seen(self, now: int, pictures: Mapping[int, Image]) -> Image:
        """What a camera sees of boards, given their pictures in place."""
        nearest, offset = self._schedule.index_at(now), self._schedule.offset_at(now)
        progress = nearest + offset / 2
        view = self._empty.copy()
        for index, picture in pictures.items():
            self._put(view, picture, round((progress - index) * self._pitch))
        if offset != 0 and self._blur > 1:
            cv2.blur(view, (self._blur, 1), view)
        return view

    def _put(self, view: Image, picture: Image, shift: int) -> None:
        rows, columns = self._place
        left, right = max(0, columns.start + shift), min(self._width, columns.stop + shift)
        if left < right:
            view[rows, left:right] = picture[rows, left - shift : right - shift]


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
    """The boards in view, and the next ones, drawn by a thread while nothing else is to do.

    Args:
        draw: the picture of a board by its number.
    """

    def __init__(self, schedule: Schedule, draw: Draw) -> None:
        self._schedule = schedule
        self._draw = draw
        self._boards: dict[int, _Coming] = {}
        self._hand = ThreadPoolExecutor(1, "draw")

    def boards(self, wanted: Sequence[int], coming: Sequence[int] = ()) -> dict[int, Image]:
        """Waits until those `wanted` are drawn; then those `coming` are begun, each once there is time."""
        for number in [each for each in self._boards if each not in {*wanted, *coming}]:
            self._boards.pop(number).forget()
        pictures = [self._coming(index) for index in wanted]
        for each in self._boards.values() if not all(each.picture.done() for each in pictures) else ():
            each.hurry.set()  # also those that stand in the way
        for index in coming:
            self._coming(index)
        return {index: each.picture.result() for index, each in zip(wanted, pictures, strict=True)}

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
        due = self._schedule.trigger_time(index) - _AHEAD * self._schedule.period_ns
        hurry.wait(max(0.0, due - now_ns()) / NS_PER_S)
        return self._draw(index)


def _bare(schedule: Schedule, index: int, side: str, width: int, height: int) -> Image:
    defects, _ = _names(schedule.faults(index, side))
    return draw_board(schedule.board_seed(index, side), width, height, defects).image


def _labelled(schedule: Schedule, index: int, board: Image) -> Image:
    """With its serial in the lower right corner, if the schedule has serials: on a label that covers what is there."""
    if schedule.serials == NO_SERIALS:
        return board
    height, width = board.shape[:2]
    code = zxingcpp.create_barcode(schedule.serial(index), zxingcpp.BarcodeFormat[SERIALS[schedule.serials]])
    label = np.asarray(code.to_image(scale=max(_LEAST_MODULE, height // 120)))
    gap = height // 40
    board = board.copy()
    board[height - gap - label.shape[0] : height - gap, width - gap - label.shape[1] : width - gap] = label[..., None]
    return board


def _names(faults: tuple[Fault, ...]) -> tuple[list[str], list[str]]:
    """Defects and oddities."""
    return [each.name for each in faults if not each.odd], [each.name for each in faults if each.odd]
