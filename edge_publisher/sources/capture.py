"""Pictures through OpenCV's VideoCapture: USB cameras, network streams, and the frames of a video file."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np

from edge_publisher.sources.base import CameraGone, CaptureRequest, Held, Picture, age_of
from edge_publisher.sources.causes import why_no_camera, why_no_stream
from edge_publisher.sources.mjpeg import MOST_BROKEN, picture_from_jpeg
from pcb_bus.contract.times import NS_PER_MS, now_ns

_MJPG = cv2.VideoWriter.fourcc(*"MJPG")
_CAMERA_API = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
_TIMEOUT_MS = 5000

# V4L2 counts exposure in 0.1 ms; its menu of who chooses it has 1 for a fixed one, and 3 for aperture priority.
_CONTROLS = {
    "exposure_ms": (cv2.CAP_PROP_EXPOSURE, 10.0),
    "gain": (cv2.CAP_PROP_GAIN, 1.0),
    "white_balance": (cv2.CAP_PROP_WB_TEMPERATURE, 1.0),
    "focus": (cv2.CAP_PROP_FOCUS, 1.0),
}
_CHOOSERS = {
    "exposure_ms": (cv2.CAP_PROP_AUTO_EXPOSURE, 1.0, 3.0),
    "white_balance": (cv2.CAP_PROP_AUTO_WB, 0.0, 1.0),
    "focus": (cv2.CAP_PROP_AUTOFOCUS, 0.0, 1.0),
}


C = TypeVar("C", bound="Capture")


@dataclass(frozen=True, slots=True)
class Device:
    """How OpenCV opens something: `settings` once it is open, `raw` the one that leaves JPEGs as they are.

    `why` is asked for the likely cause where it does not open, or gives no picture at all.
    """

    target: str | int
    api: int
    params: tuple[int, ...] = ()
    settings: tuple[tuple[int, float], ...] = ()
    raw: tuple[int, float] = (cv2.CAP_PROP_FORMAT, -1)
    name: str = field(default="camera")
    why: Callable[[], str] = lambda: "cannot be opened"


class Capture:
    """A `Source` on an open VideoCapture. With `raw`, its buffers are JPEGs, and pass through undecoded."""

    def __init__(self, capture: cv2.VideoCapture, device: Device, *, raw: bool) -> None:
        self._capture = capture
        self._device = device
        self._raw = raw
        self._held = Held(capture.release)
        self.close = self._held.close
        self._peeked: Picture | None = None
        self._seen = False

    def peek(self) -> None:
        """Read a picture ahead, to see that there is one; raises CameraGone as `read` does."""
        self._peeked = self.read()

    def read(self) -> Picture:
        if self._peeked is not None:
            peeked, self._peeked = self._peeked, None
            return peeked
        for _ in range(MOST_BROKEN):
            buffer, captured_at = self._grab()
            picture = self._picture(buffer, captured_at)
            if picture is not None:
                return picture
        raise CameraGone(f"{self._device.name}: {MOST_BROKEN} broken pictures in a row")

    @property
    def fps(self) -> float:
        """What the device says of its rate; 0 if it does not know."""
        return float(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def delivers_jpeg(self) -> bool:
        return int(self._capture.get(cv2.CAP_PROP_FOURCC)) == _MJPG

    def _moment(self) -> int:
        """When the picture that was read just now was captured, ns."""
        return now_ns()

    def _picture(self, buffer: np.ndarray, captured_at: int) -> Picture | None:
        if self._raw:
            return picture_from_jpeg(buffer.tobytes(), captured_at)
        return picture_from_image(buffer, captured_at)

    def _grab(self) -> tuple[np.ndarray, int]:
        with self._held:
            taken, buffer = self._capture.read()
            captured_at = self._moment()
        if not taken or buffer is None:
            raise CameraGone(f"{self._device.name}: {'no more pictures' if self._seen else self._device.why()}")
        self._seen = True
        return buffer, captured_at


class UsbCamera(Capture):
    """A camera whose optics can be set through V4L2; and it says when a picture was captured."""

    def adjust(self, request: CaptureRequest) -> CaptureRequest:
        """Set exposure, gain, white balance and focus; what the camera says that it has now."""
        asked = {name for name in _CONTROLS if getattr(request, name) is not None}
        for name in sorted(asked):
            wanted = getattr(request, name)
            if name in _CHOOSERS:
                chooser, fixed, automatic = _CHOOSERS[name]
                self._capture.set(chooser, automatic if wanted == "auto" else fixed)
            if wanted != "auto":
                control, unit = _CONTROLS[name]
                self._capture.set(control, wanted * unit)
        chosen: dict[str, Any] = {name: "auto" for name in asked & _CHOOSERS.keys() if self._chooses(name)}
        return replace(self._values(asked), **chosen)

    def values(self) -> CaptureRequest:
        """The same with the numbers that hold now where the camera chooses them: asked for, they are fixed."""
        return self._values(set(_CONTROLS))

    def _moment(self) -> int:
        position_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * NS_PER_MS)
        return now_ns() - age_of(position_ns, time.monotonic_ns())

    def _chooses(self, name: str) -> bool:
        chooser, _, automatic = _CHOOSERS[name]
        return self._capture.get(chooser) == automatic

    def _values(self, names: set[str]) -> CaptureRequest:
        """OpenCV writes a line to stderr for each control that a camera does not have: only these are asked for."""
        size = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        width, height, fps = map(self._capture.get, size)
        numbers = {name: self._capture.get(_CONTROLS[name][0]) / _CONTROLS[name][1] for name in names}
        has: dict[str, Any] = {name: number for name, number in numbers.items() if number >= 0}
        return CaptureRequest(round(width), round(height), fps, **has)


def open_device(device: Device, kind: type[C]) -> C:
    """Open it so that JPEGs pass through undecoded, if it has any; otherwise decoded.

    Raises:
        CameraGone: it does not open, or gives no picture.
    """
    capture = _open(device, kind)
    if not capture.delivers_jpeg:
        return capture
    capture.close()
    passing = _open(device, kind, raw=True)
    try:
        passing.peek()
    except CameraGone:
        passing.close()
        return _open(device, kind)
    return passing


def open_camera(spec: str, request: CaptureRequest) -> UsbCamera:
    """A USB camera by index (`0`) or device (`/dev/video0`), asked for MJPEG.

    Raises:
        CameraGone: it does not open, or gives no picture.
    """
    settings = (
        (cv2.CAP_PROP_FOURCC, _MJPG),
        (cv2.CAP_PROP_FRAME_WIDTH, request.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, request.height),
        (cv2.CAP_PROP_FPS, request.fps),
        (cv2.CAP_PROP_BUFFERSIZE, 2),  # one is filled while the other is read; with one, some cameras lose every second
    )
    target = int(spec) if spec.isdecimal() else spec
    raw = (cv2.CAP_PROP_CONVERT_RGB, 0.0)
    device = Device(target, _CAMERA_API, (), settings, raw, f"camera {spec}")
    if _CAMERA_API == cv2.CAP_V4L2:
        device = replace(device, why=partial(why_no_camera, target))
    return open_device(device, UsbCamera)


def open_stream(spec: str, request: CaptureRequest) -> Capture:
    """A network camera. It decides on its own size and rate.

    Raises:
        CameraGone: it does not answer within 5 s, or gives no picture.
    """
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS)
    settings = ((cv2.CAP_PROP_BUFFERSIZE, 1.0),)
    why = partial(why_no_stream, spec)
    return open_device(Device(spec, cv2.CAP_FFMPEG, timeouts, settings, name="stream", why=why), Capture)


def picture_from_image(image: np.ndarray | None, captured_at: int) -> Picture | None:
    """The picture with the pixels of `image`, grey or BGR; None if it has none."""
    if image is None or image.size == 0:
        return None
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    height, width = image.shape[:2]
    return Picture(captured_at, width, height, image=np.ascontiguousarray(image, np.uint8))


def _open(device: Device, kind: type[C], *, raw: bool = False) -> C:
    try:
        capture = cv2.VideoCapture(device.target, device.api, list(device.params))
    except cv2.error as error:
        raise CameraGone(f"{device.name}: {error.err}") from None
    if not capture.isOpened():
        raise CameraGone(f"{device.name}: {device.why()}")
    for key, value in (*device.settings, *((device.raw,) if raw else ())):
        capture.set(key, value)  # what a device does not support, it leaves as it is
    return kind(capture, device, raw=raw)
