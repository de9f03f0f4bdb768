"""A camera above the virtual conveyor: `sim://<side>?look=…&product=…&seed=…&rate=…&epoch_ns=…&defect_share=…`."""

import time
from concurrent.futures import CancelledError
from itertools import cycle
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import numpy.typing as npt

from edge_publisher.sources import CameraGone, CaptureRequest, Picture
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import ConfigError
from simulator.bare_board import NoRoomForDefects
from simulator.painter import DrawnAhead, board_drawer, exposed, sensor_noise
from simulator.product import LEAST_SIZE
from simulator.schedule import ASSEMBLED, BARE, LOOKS, Schedule

Image = npt.NDArray[np.uint8]
_BELT_BGR = (52, 56, 60)
_LEAST_SIZE = {ASSEMBLED: LEAST_SIZE, BARE: (320, 240)}  # below that, a board has no room for its defects
_OPTIONS: dict[str, type] = {
    "look": str,
    "product": int,
    "seed": int,
    "rate": float,
    "epoch_ns": int,
    "defect_share": float,
    "oddity_share": float,
}


class SimulatedCamera:
    """Shows the belt of one `Schedule` from above one side, at the pace that was asked for.

    Raises:
        NoRoomForDefects: the pictures are too small for the boards.
    """

    def __init__(self, schedule: Schedule, side: str, request: CaptureRequest) -> None:
        self._schedule = schedule
        self._size = (request.width, request.height)
        self._period_ns = round(NS_PER_S / request.fps)
        self._due = now_ns()
        self._closed = False
        self._noise = cycle(sensor_noise(request.width, request.height, schedule.board_seed(-1, side)))
        self._boards = DrawnAhead(schedule, board_drawer(schedule, side, request.width, request.height))

    def read(self) -> Picture:
        """Wait for the next picture, as a camera does.

        Raises:
            CameraGone: it was closed.
        """
        self._due = max(self._due + self._period_ns, now_ns() - self._period_ns)
        time.sleep(max(0, self._due - now_ns()) / NS_PER_S)
        captured_at = now_ns()
        width, height = self._size
        try:
            return Picture(captured_at, width, height, image=self._view(captured_at), jpeg=None)
        except (RuntimeError, CancelledError):
            if self._closed:  # whoever draws takes no more orders
                raise CameraGone("closed") from None
            raise

    def close(self) -> None:
        self._closed = True
        self._boards.close()

    def _view(self, now: int) -> Image:
        board = self._boards.board(self._schedule.index_at(now))
        shift = round(self._schedule.offset_at(now) * board.shape[1])
        return exposed(shifted(board, shift), next(self._noise))


def shifted(board: Image, shift: int) -> Image:
    """The board `shift` pixels along the belt; the belt shows where it is not."""
    if shift == 0:
        return board
    view = np.full_like(board, _BELT_BGR)
    if abs(shift) < board.shape[1]:
        source = board[:, : board.shape[1] - shift] if shift > 0 else board[:, -shift:]
        target = view[:, shift:] if shift > 0 else view[:, : board.shape[1] + shift]
        target[:] = source
    return view


def open_simulated_camera(spec: str, request: CaptureRequest) -> SimulatedCamera:
    """The camera that a `sim://` source names; every part of it but the scheme has a default.

    Raises:
        ConfigError: an option is unknown or impossible, or the picture too small.
    """
    parts = urlsplit(spec)
    options: dict[str, Any] = {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _OPTIONS:
            raise ConfigError(f"edge.source: {spec}: unknown option {key}; known: {', '.join(_OPTIONS)}")
        try:
            options[key] = _OPTIONS[key](text)
        except ValueError:
            raise ConfigError(f"edge.source: {spec}: {key} cannot be {text!r}") from None
    schedule = Schedule(**options)
    _check(spec, schedule)
    width, height = _LEAST_SIZE[schedule.look]
    if request.width < width or request.height < height:
        raise ConfigError(f"edge.width, edge.height: a drawn board needs {width}x{height} pixels")
    try:
        return SimulatedCamera(schedule, parts.netloc or "board", request)
    except NoRoomForDefects as error:
        raise ConfigError(f"edge.width, edge.height: {error}") from None


def _check(spec: str, schedule: Schedule) -> None:
    if schedule.look not in LOOKS:
        raise ConfigError(f"edge.source: {spec}: look must be one of {', '.join(LOOKS)}")
    if schedule.product < 0:
        raise ConfigError(f"edge.source: {spec}: product must be 0 or more")
    if not 0 < schedule.rate <= 100 or not all(0 <= s <= 1 for s in (schedule.defect_share, schedule.oddity_share)):
        raise ConfigError(f"edge.source: {spec}: rate must be within 0 to 100, defect_share and oddity_share 0 to 1")
