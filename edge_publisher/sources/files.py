"""Files as a camera, at its pace, again and again: a folder of images in the order of their names, or a video."""

import logging
import threading
import time
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from edge_publisher.sources.base import CameraGone, CaptureRequest, Picture
from edge_publisher.sources.capture import Capture, Device, open_device, picture_from_image
from edge_publisher.sources.mjpeg import picture_of
from pcb_bus.contract.times import now_ns

log = logging.getLogger(__name__)

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
NO_IMAGES = "no images in it: nothing that ends in .jpg, .jpeg, .png or .bmp"


class Beat:
    """Lets one picture through every `1/fps` s. Beats that were missed are left out, not made up for."""

    def __init__(self, fps: float) -> None:
        self._period = 1 / fps
        self._next = time.monotonic()
        self._closed = threading.Event()

    def wait(self) -> None:
        """Block until the next beat.

        Raises:
            CameraGone: closed meanwhile.
        """
        if self._closed.wait(max(0.0, self._next - time.monotonic())):
            raise CameraGone("closed")
        self._next = max(self._next + self._period, time.monotonic())

    def close(self) -> None:
        self._closed.set()


def list_images(folder: Path) -> list[Path]:
    """The images of `folder` by name. Beside `*_test.*` images, `*_temp.*` ones are templates, and left out."""
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
    if any(path.stem.endswith("_test") for path in images):
        images = [path for path in images if not path.stem.endswith("_temp")]
    return images


class Folder:
    """A `Source` that shows each image for one beat, in its own size. JPEGs pass through undecoded.

    Raises:
        CameraGone: the folder is gone, or has no images.
    """

    def __init__(self, folder: Path, request: CaptureRequest) -> None:
        try:
            images = list_images(folder)
        except OSError as error:
            raise CameraGone(f"folder {folder}: {error.strerror}") from None
        if not images:
            raise CameraGone(f"folder {folder}: {NO_IMAGES}")
        self._count = len(images)
        self._images = cycle(images)
        self._skipped: set[Path] = set()
        self._beat = Beat(request.fps)

    def read(self) -> Picture:
        self._beat.wait()
        for _ in range(self._count):
            path = next(self._images)
            picture = _load(path)
            if picture is not None:
                return picture
            if path not in self._skipped:
                self._skipped.add(path)
                log.warning("skipping %s: not an image that can be read", path.name)
        raise CameraGone("none of the folder's images can be read")

    def close(self) -> None:
        self._beat.close()


class Video:
    """A `Source` that plays `path` in a loop, at the rate asked for if the file does not know its own.

    Raises:
        CameraGone: not a video that OpenCV can read.
    """

    def __init__(self, path: Path, request: CaptureRequest) -> None:
        self._device = Device(str(path), cv2.CAP_FFMPEG, name=f"video {path.name}")
        self._capture = open_device(self._device, Capture)
        self._beat = Beat(self._capture.fps or request.fps)

    def read(self) -> Picture:
        self._beat.wait()
        try:
            return self._capture.read()
        except CameraGone:
            self._capture.close()
            self._capture = open_device(self._device, Capture)
            return self._capture.read()

    def close(self) -> None:
        self._beat.close()
        self._capture.close()


def _load(path: Path) -> Picture | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    # A picture that says how it is turned is turned here, so that its size is what everyone sees.
    as_it_is = None if b"Exif\0" in data[:256] else picture_of(data, now_ns())
    return as_it_is or picture_from_image(_decode(data), now_ns())


def _decode(data: bytes) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
