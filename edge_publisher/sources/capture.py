"""Pictures through OpenCV's VideoCapture: USB cameras, network streams, and the frames of a video file."""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np

from edge_publisher.sources.base import CameraGone, CaptureRequest, Picture
from edge_publisher.sources.causes import why_no_camera, why_no_stream
from edge_publisher.sources.mjpeg import whole_jpeg
from pcb_bus.contract.pictures import inspect_jpeg
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import MessageRejected

_MJPG = cv2.VideoWriter.fourcc(*"MJPG")
_CAMERA_API = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
_TIMEOUT_MS = 5000
_MAX_BROKEN = 10  # cut pictures in a row: a bad cable gives some, a wrong mode nothing else
_MAX_PIXELS = 100_000_000


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
        self._busy = threading.Lock()
        self._closed = False
        self._peeked: Picture | None = None
        self._seen = False

    def peek(self) -> None:
        """Read a picture ahead, to see that there is one; raises CameraGone as `read` does."""
        self._peeked = self.read()

    def read(self) -> Picture:
        if self._peeked is not None:
            peeked, self._peeked = self._peeked, None
            return peeked
        for _ in range(_MAX_BROKEN):
            buffer, captured_at = self._grab()
            picture = self._picture(buffer, captured_at)
            if picture is not None:
                return picture
        raise CameraGone(f"{self._device.name}: {_MAX_BROKEN} broken pictures in a row")

    def close(self) -> None:
        # Releasing under a read that hangs would crash; whoever reads releases then.
        self._closed = True
        if self._busy.acquire(blocking=False):
            self._capture.release()
            self._busy.release()

    @property
    def fps(self) -> float:
        """What the device says of its rate; 0 if it does not know."""
        return float(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def delivers_jpeg(self) -> bool:
        return int(self._capture.get(cv2.CAP_PROP_FOURCC)) == _MJPG

    def _picture(self, buffer: np.ndarray, captured_at: int) -> Picture | None:
        if self._raw:
            return picture_from_jpeg(whole_jpeg(buffer.tobytes()) or b"", captured_at)
        return picture_from_image(buffer, captured_at)

    def _grab(self) -> tuple[np.ndarray, int]:
        with self._busy:
            taken, buffer = (False, None) if self._closed else self._capture.read()
            captured_at = now_ns()
            if self._closed:
                self._capture.release()
        if not taken or buffer is None:
            raise CameraGone(f"{self._device.name}: {'no more pictures' if self._seen else self._device.why()}")
        self._seen = True
        return buffer, captured_at


def open_device(device: Device) -> Capture:
    """Open it so that JPEGs pass through undecoded, if it has any; otherwise decoded.

    Raises:
        CameraGone: it does not open, or gives no picture.
    """
    capture = _open(device)
    if not capture.delivers_jpeg:
        return capture
    capture.close()
    passing = _open(device, raw=True)
    try:
        passing.peek()
    except CameraGone:
        passing.close()
        return _open(device)
    return passing


def open_camera(spec: str, request: CaptureRequest) -> Capture:
    """A USB camera by index (`0`) or device (`/dev/video0`), asked for MJPEG.

    Raises:
        CameraGone: it does not open, or gives no picture.
    """
    settings = (
        (cv2.CAP_PROP_FOURCC, _MJPG),
        (cv2.CAP_PROP_FRAME_WIDTH, request.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, request.height),
        (cv2.CAP_PROP_FPS, request.fps),
        (cv2.CAP_PROP_BUFFERSIZE, 1),
    )
    target = int(spec) if spec.isdecimal() else spec
    raw = (cv2.CAP_PROP_CONVERT_RGB, 0.0)
    device = Device(target, _CAMERA_API, (), settings, raw, f"camera {spec}")
    if _CAMERA_API == cv2.CAP_V4L2:
        device = replace(device, why=partial(why_no_camera, target))
    return open_device(device)


def open_stream(spec: str, request: CaptureRequest) -> Capture:
    """A network camera. It decides on its own size and rate.

    Raises:
        CameraGone: it does not answer within 5 s, or gives no picture.
    """
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS)
    settings = ((cv2.CAP_PROP_BUFFERSIZE, 1.0),)
    why = partial(why_no_stream, spec)
    return open_device(Device(spec, cv2.CAP_FFMPEG, timeouts, settings, name="stream", why=why))


def picture_from_jpeg(jpeg: bytes, captured_at: int) -> Picture | None:
    """The picture, undecoded; None if it is not one whole JPEG."""
    try:
        info = inspect_jpeg(jpeg, max_pixels=_MAX_PIXELS)
    except MessageRejected:
        return None
    return Picture(captured_at, info.width, info.height, jpeg=jpeg)


def picture_from_image(image: np.ndarray | None, captured_at: int) -> Picture | None:
    """The picture with the pixels of `image`, grey or BGR; None if it has none."""
    if image is None or image.size == 0:
        return None
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    height, width = image.shape[:2]
    return Picture(captured_at, width, height, image=np.ascontiguousarray(image, np.uint8))


def _open(device: Device, *, raw: bool = False) -> Capture:
    try:
        capture = cv2.VideoCapture(device.target, device.api, list(device.params))
    except cv2.error as error:
        raise CameraGone(f"{device.name}: {error.err}") from None
    if not capture.isOpened():
        raise CameraGone(f"{device.name}: {device.why()}")
    for key, value in (*device.settings, *((device.raw,) if raw else ())):
        capture.set(key, value)  # what a device does not support, it leaves as it is
    return Capture(capture, device, raw=raw)
