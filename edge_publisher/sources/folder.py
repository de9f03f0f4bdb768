"""A folder of images as a camera: in the order of their names, again and again."""

import logging
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from edge_publisher.sources.base import CameraGone, CaptureRequest, Picture
from edge_publisher.sources.capture import picture_from_image, picture_from_jpeg
from edge_publisher.sources.pacing import Beat
from pcb_bus.contract.times import now_ns

log = logging.getLogger(__name__)

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
NO_IMAGES = "no images in it: nothing that ends in .jpg, .jpeg, .png or .bmp"


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


def _load(path: Path) -> Picture | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    # A picture that says how it is turned is turned here, so that its size is what everyone sees.
    as_it_is = None if b"Exif\0" in data[:256] else picture_from_jpeg(data, now_ns())
    return as_it_is or picture_from_image(_decode(data), now_ns())


def _decode(data: bytes) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
