"""From what the configuration says to an open source."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from urllib.parse import urlsplit

import cv2

from edge_publisher.sources.base import CaptureRequest, Source, View, Viewed
from edge_publisher.sources.capture import open_camera, open_stream
from edge_publisher.sources.csi import find_csi
from edge_publisher.sources.files import NO_IMAGES, Folder, Video, list_images
from edge_publisher.sources.mjpeg import HttpStream
from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import ConfigError
from pcb_bus.runtime.redaction import redact, redact_address

DRIVERS = "boardline.sources"
"""Entry-point group: scheme → `factory(spec, request) -> Source`, which may raise CameraGone or ConfigError."""

_STREAMS, _HTTP = frozenset({"rtsp", "rtsps"}), frozenset({"http", "https"})
Opener = Callable[[], Source]
_SPEAKING, _SILENT = ("OPENCV_FFMPEG_LOGLEVEL", "OPENCV_FFMPEG_DEBUG", "OPENCV_LOG_LEVEL"), "-8"


def open_source(spec: str, request: CaptureRequest, view: View | None = None) -> Source:
    """Open a camera index (`0`), a device, `rtsp://…`, `http://…`, a video file, a folder, or a driver's `scheme://…`.

    Raises:
        ConfigError: `spec` can never work; names `edge.source`.
        CameraGone: it did not open now.
    """
    return find_source(spec, request, view)()


def find_source(spec: str, request: CaptureRequest, view: View | None = None) -> Opener:
    """Decide what `spec` is without opening a device; call the result to open it, as often as needed.

    Args:
        view: what is to be seen of its pictures; None: all of them.

    Raises:
        ConfigError: `spec` can never work; names `edge.source`.
    """
    opener = _find(spec, request)
    return opener if view is None or view == View() else lambda: Viewed(opener(), view)


def _find(spec: str, request: CaptureRequest) -> Opener:
    if spec.isdecimal() or spec.startswith("/dev/"):
        return lambda: open_camera(spec, request)
    if "://" in spec:
        return _find_by_scheme(spec, request)
    try:
        return _find_file(Path(spec), request)
    except OSError as error:
        raise ConfigError(f"edge.source: {redact_address(spec)!r} cannot be read: {error.strerror}") from None


def how_long_the_same(spec: str) -> int | None:
    """Ns for which this source may give the same picture and not be frozen; None: files and folders, for ever."""
    if spec.isdecimal() or spec.startswith("/dev/"):
        return NS_PER_S
    if "://" not in spec:
        return None
    # A codec may leave out what does not change, until the next whole picture.
    return 30 * NS_PER_S if urlsplit(spec).scheme in _STREAMS else NS_PER_S


def _find_file(path: Path, request: CaptureRequest) -> Opener:
    if path.is_dir():
        if not list_images(path):
            raise ConfigError(f"edge.source: the folder {str(path)!r} has {NO_IMAGES}")
        return lambda: Folder(path, request)
    if path.is_file():
        return lambda: Video(path, request)
    given = redact_address(str(path))
    raise ConfigError(f"edge.source: no such camera, file or folder: {given!r}; schemes: {_known(_drivers())}")


def quiet_opencv() -> None:
    """Leave the console to our own log, unless the environment asks OpenCV or FFmpeg to speak: then without secrets."""
    if any(os.environ.get(name, _SILENT) != _SILENT for name in _SPEAKING):
        for number in (1, 2):
            _redact_output(number)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", _SILENT)
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _redact_output(number: int) -> None:
    """FFmpeg writes the camera's URL and login past our log, straight to the console."""
    console, (taken, given) = os.dup(number), os.pipe()
    os.dup2(given, number)
    os.close(given)

    def copy() -> None:
        with os.fdopen(taken, errors="backslashreplace") as lines, os.fdopen(console, "w") as out:
            for line in lines:
                print(redact(line), end="", file=out, flush=True)

    threading.Thread(target=copy, name="console", daemon=True).start()


def _find_by_scheme(spec: str, request: CaptureRequest) -> Opener:
    scheme, drivers = urlsplit(spec).scheme, _drivers()
    if scheme in _STREAMS:
        return lambda: open_stream(spec, request)
    if scheme in _HTTP:
        return lambda: HttpStream(spec)
    if scheme == "csi":
        return find_csi(spec, request)
    if scheme not in drivers:
        raise ConfigError(
            f"edge.source: unknown scheme {scheme!r} in {redact_address(spec)!r}; schemes: {_known(drivers)}"
        )
    factory = _load(drivers[scheme])
    return _OpenedEarly(lambda: factory(spec, request))


class _OpenedEarly:
    """Only a driver knows what its `spec` may be: it is opened at once, so that a wrong one is found at the start."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._first: Source | None = None
        with suppress(OSError):  # gone now, perhaps here later
            self._first = opener()

    def __call__(self) -> Source:
        first, self._first = self._first, None
        return first or self._opener()


def _load(driver: EntryPoint) -> Callable[[str, CaptureRequest], Source]:
    try:
        factory: Callable[[str, CaptureRequest], Source] = driver.load()
    except (ImportError, AttributeError) as error:
        why = redact(str(error))
        raise ConfigError(f"edge.source: the driver of {driver.name}:// ({driver.value}) fails: {why}") from None
    return factory


def _drivers() -> dict[str, EntryPoint]:
    return {driver.name: driver for driver in entry_points(group=DRIVERS)}


def _known(drivers: dict[str, EntryPoint]) -> str:
    return ", ".join(f"{scheme}://" for scheme in sorted({"csi", "http", "rtsp", *drivers}))
