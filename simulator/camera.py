"""A camera above the virtual conveyor: `sim://<side>?seed=…&rate=…&epoch_ns=…&defect_share=…`."""

import time
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import cv2
import numpy as np
import numpy.typing as npt

from edge_publisher.sources import CaptureRequest, Picture
from pcb_bus.clock import NS_PER_S, now_ns
from pcb_bus.errors import ConfigError
from simulator.bare_board import draw_board
from simulator.schedule import Schedule

Image = npt.NDArray[np.uint8]
_BELT_BGR = (52, 56, 60)
_NOISE_SIGMA = 2.0
_LEAST_SIZE = (320, 240)  # below that, a board has no room for its defects
_OPTIONS: dict[str, type] = {"seed": int, "rate": float, "epoch_ns": int, "defect_share": float}


class SimulatedCamera:
    """Shows the belt of one `Schedule` from above one side, at the pace that was asked for."""

    def __init__(self, schedule: Schedule, side: str, request: CaptureRequest) -> None:
        self._schedule = schedule
        self._side = side
        self._size = (request.width, request.height)
        self._period_ns = round(NS_PER_S / request.fps)
        self._due = now_ns()
        self._noise = _noise_pictures(request.width, request.height, schedule.board_seed(-1, side))
        self._draw = lru_cache(maxsize=3)(self._board)

    def read(self) -> Picture:
        """Wait for the next picture, as a camera does."""
        self._due = max(self._due + self._period_ns, now_ns() - self._period_ns)
        time.sleep(max(0, self._due - now_ns()) / NS_PER_S)
        captured_at = now_ns()
        width, height = self._size
        return Picture(captured_at, width, height, image=self._view(captured_at), jpeg=None)

    def close(self) -> None:
        self._draw.cache_clear()

    def _view(self, now: int) -> Image:
        board = self._draw(self._schedule.index_at(now))
        shift = round(self._schedule.offset_at(now) * board.shape[1])
        noise = self._noise[now // self._period_ns % len(self._noise)]
        return np.asarray(cv2.add(_shifted(board, shift), noise, dtype=cv2.CV_8U), np.uint8)

    def _board(self, index: int) -> Image:
        schedule, side = self._schedule, self._side
        return draw_board(schedule.board_seed(index, side), *self._size, schedule.defects(index, side)).image


def _shifted(board: Image, shift: int) -> Image:
    """The board `shift` pixels along the belt; the belt shows where it is not."""
    if shift == 0:
        return board
    view = np.full_like(board, _BELT_BGR)
    if abs(shift) < board.shape[1]:
        source = board[:, : board.shape[1] - shift] if shift > 0 else board[:, -shift:]
        target = view[:, shift:] if shift > 0 else view[:, : board.shape[1] + shift]
        target[:] = source
    return view


def _noise_pictures(width: int, height: int, seed: int) -> list[npt.NDArray[np.int16]]:
    # A few pictures of noise, made once: fresh noise costs more time than everything else here.
    rng = np.random.default_rng(seed)
    return [rng.normal(0, _NOISE_SIGMA, (height, width, 3)).astype(np.int16) for _ in range(4)]


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
    if not 0 < schedule.rate <= 100 or not 0 <= schedule.defect_share <= 1:
        raise ConfigError(f"edge.source: {spec}: rate must be within 0 to 100, defect_share within 0 to 1")
    if request.width < _LEAST_SIZE[0] or request.height < _LEAST_SIZE[1]:
        raise ConfigError(f"edge.width, edge.height: a drawn board needs {_LEAST_SIZE[0]}x{_LEAST_SIZE[1]} pixels")
    return SimulatedCamera(schedule, parts.netloc or "board", request)
