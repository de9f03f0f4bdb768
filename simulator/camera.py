"""A camera above the virtual conveyor: `sim://<side>?look=…&product=…&seed=…&rate=…&epoch_ns=…&defect_share=…&load=…`."""

import time
from concurrent.futures import CancelledError
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from edge_publisher.sources import CameraGone, CaptureRequest, Picture
from pcb_bus.contract.times import NS_PER_S, now_ns
from pcb_bus.errors import ConfigError
from simulator.bare_board import NoRoomForDefects
from simulator.conveyor import Load
from simulator.painter import Belt, DrawnAhead, Image, board_drawer, exposed, sensor_noise
from simulator.product import LEAST_SIZE
from simulator.schedule import ASSEMBLED, BARE, LOOKS, MOST_MARGIN, NO_SERIALS, SERIALS, Schedule

_LEAST_SIZE = {ASSEMBLED: LEAST_SIZE, BARE: (320, 240)}  # below that, a board has no room for its defects
_OPTIONS: dict[str, type] = {
    "look": str,
    "product": int,
    "seed": int,
    "rate": float,
    "epoch_ns": int,
    "defect_share": float,
    "oddity_share": float,
    "standstill": float,
    "margin": float,
    "serials": str,
    "load": Path,
}
_NEXT = 2  # boards that are drawn before they come


class SimulatedCamera:
    """Shows the belt of one `Schedule` from above one side, at the pace that was asked for.

    Args:
        load: the file that says which boards ride on the belt (`Load`); None: all of them.

    Raises:
        NoRoomForDefects: the pictures are too small for the boards.
    """

    def __init__(self, schedule: Schedule, side: str, request: CaptureRequest, load: Path | None = None) -> None:
        self._schedule = schedule
        self._load = load
        self._belt = Belt(schedule, request.width, request.height)
        self._size = (request.width, request.height)
        self._period_ns = round(NS_PER_S / request.fps)
        self._due = now_ns() // self._period_ns * self._period_ns  # all cameras of a line at the same moments
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
        load = Load() if self._load is None else Load.read(self._load)
        in_view = self._belt.in_view(now)
        coming = range(in_view[-1] + 1, in_view[-1] + 1 + _NEXT)
        boards = self._boards.boards(*([each for each in some if load.carries(each)] for some in (in_view, coming)))
        return exposed(self._belt.seen(now, boards), next(self._noise))


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
    load = options.pop("load", None)
    schedule = Schedule(**options)
    _check(spec, schedule)
    width, height = _LEAST_SIZE[schedule.look]
    if request.width < width or request.height < height:
        raise ConfigError(f"edge.width, edge.height: a drawn board needs {width}x{height} pixels")
    try:
        return SimulatedCamera(schedule, parts.netloc or "board", request, load)
    except NoRoomForDefects as error:
        raise ConfigError(f"edge.width, edge.height: {error}") from None


def _check(spec: str, schedule: Schedule) -> None:
    if schedule.look not in LOOKS:
        raise ConfigError(f"edge.source: {spec}: look must be one of {', '.join(LOOKS)}")
    if schedule.serials not in {NO_SERIALS, *SERIALS}:
        raise ConfigError(f"edge.source: {spec}: serials must be one of {NO_SERIALS}, {', '.join(SERIALS)}")
    if schedule.product < 0:
        raise ConfigError(f"edge.source: {spec}: product must be 0 or more")
    if not 0 < schedule.rate <= 100 or not all(0 <= s <= 1 for s in (schedule.defect_share, schedule.oddity_share)):
        raise ConfigError(f"edge.source: {spec}: rate must be within 0 to 100, defect_share and oddity_share 0 to 1")
    if not (0 <= schedule.standstill <= 0.9 and 0 <= schedule.margin <= MOST_MARGIN):
        raise ConfigError(f"edge.source: {spec}: standstill must be within 0 to 0.9, margin 0 to {MOST_MARGIN}")
