"""A camera on the ribbon cable of a Raspberry Pi: `csi://0`, through picamera2, which belongs to Raspberry Pi OS."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from edge_publisher.sources.base import CameraGone, CaptureRequest, Held, Picture, age_of
from edge_publisher.sources.capture import picture_from_image
from pcb_bus.contract.times import now_ns
from pcb_bus.errors import ConfigError

_SETTLES = 8  # pictures until what was set shows in what the camera says
_MANUAL, _CONTINUOUS = 0, 2  # libcamera's AfMode
_FAULTS = (RuntimeError, IndexError, OSError, TimeoutError)


def find_csi(spec: str, request: CaptureRequest) -> Callable[[], "CsiCamera"]:
    """What opens `csi://<number>`.

    Raises:
        ConfigError: there is no such number, or picamera2 is not installed.
    """
    number = urlsplit(spec).netloc or "0"
    if not number.isdecimal():
        raise ConfigError(f"edge.source: {spec!r} has no number of a camera: csi://0, or csi://1 for a second one")
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise ConfigError(
            "edge.source: csi:// needs picamera2: sudo apt install python3-picamera2, and a virtual environment that "
            f"sees it (python3 -m venv --system-site-packages): {error}"
        ) from None
    logging.getLogger("picamera2").setLevel(logging.WARNING)
    return lambda: CsiCamera(Picamera2, int(number), request)


class CsiCamera:
    """A `Source` of decoded pictures, whose optics can be set.

    Args:
        driver: the class Picamera2.

    Raises:
        CameraGone: it is not there, or something else has it.
    """

    def __init__(self, driver: Any, number: int, request: CaptureRequest) -> None:
        try:
            self._camera = driver(number)
            size = {"size": (request.width, request.height), "format": "RGB888"}  # in memory: blue first
            asked = {"FrameRate": request.fps}
            self._camera.configure(self._camera.create_video_configuration(main=size, controls=asked, buffer_count=4))
            self._camera.start()
        except _FAULTS as error:
            raise CameraGone(
                f"camera csi://{number}: {error}: is its cable in, and no other program using it? "
                "`rpicam-hello --list-cameras` lists what there is"
            ) from None
        self._held = Held(self._release)
        self.close = self._held.close

    def read(self) -> Picture:
        try:
            with self._held:
                taken = self._camera.capture_request()
                try:
                    image, told = taken.make_array("main"), taken.get_metadata()
                finally:
                    taken.release()
        except _FAULTS as error:
            raise CameraGone(f"camera csi: {error}") from None
        age = age_of(told.get("SensorTimestamp", 0), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        picture = picture_from_image(np.asarray(image, np.uint8), now_ns() - age)
        if picture is None:
            raise CameraGone("camera csi: an empty picture")
        return picture

    def adjust(self, request: CaptureRequest) -> CaptureRequest:
        """Set exposure, gain, white balance and focus; what the camera says that it has now."""
        wanted = _controls_of(request)
        known = {name: value for name, value in wanted.items() if name in self._camera.camera_controls}
        self._camera.set_controls(known)
        has = CaptureRequest()
        for _ in range(_SETTLES):
            has = self.values()
            automatic: dict[str, Any] = {
                name: "auto"
                for name in ("exposure_ms", "white_balance", "focus")
                if getattr(request, name) == "auto" and getattr(has, name) is not None
            }
            has = replace(has, **automatic)
            if not request.refused(has):
                break
        return has

    def values(self) -> CaptureRequest:
        """The same with the numbers that hold now where the camera chooses them: asked for, they are fixed."""
        told = self._camera.capture_metadata()
        exposure_us, period_us = told.get("ExposureTime"), told.get("FrameDuration")
        width, height = self._camera.camera_configuration()["main"]["size"]
        return CaptureRequest(
            width,
            height,
            1e6 / period_us if period_us else 0,
            exposure_ms=None if exposure_us is None else exposure_us / 1000,
            gain=told.get("AnalogueGain"),
            white_balance=told.get("ColourTemperature"),
            focus=told.get("LensPosition"),
        )

    def _release(self) -> None:
        self._camera.stop()
        self._camera.close()


def _controls_of(request: CaptureRequest) -> dict[str, Any]:
    """As libcamera names them. A fixed exposure or gain fixes the other as well."""
    controls: dict[str, Any] = {}
    exposure, gain = request.exposure_ms, request.gain
    if exposure is not None or gain is not None:
        controls["AeEnable"] = exposure == "auto" and gain is None
    if isinstance(exposure, float | int):
        controls["ExposureTime"] = round(exposure * 1000)
    if gain is not None:
        controls["AnalogueGain"] = gain
    if request.white_balance is not None:
        controls["AwbEnable"] = request.white_balance == "auto"
    if isinstance(request.white_balance, float | int):
        controls["ColourTemperature"] = round(request.white_balance)
    if request.focus is not None:
        controls["AfMode"] = _CONTINUOUS if request.focus == "auto" else _MANUAL
    if isinstance(request.focus, float | int):
        controls["LensPosition"] = request.focus
    return controls
