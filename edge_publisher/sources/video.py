"""A video file as a camera: at its own pace, again and again."""

from pathlib import Path

import cv2

from edge_publisher.sources.base import CameraGone, CaptureRequest, Picture
from edge_publisher.sources.capture import Device, open_device
from edge_publisher.sources.pacing import Beat


class Video:
    """A `Source` that plays `path` in a loop, at the rate asked for if the file does not know its own.

    Raises:
        CameraGone: not a video that OpenCV can read.
    """

    def __init__(self, path: Path, request: CaptureRequest) -> None:
        self._device = Device(str(path), cv2.CAP_FFMPEG, name=f"video {path.name}")
        self._capture = open_device(self._device)
        self._beat = Beat(self._capture.fps or request.fps)

    def read(self) -> Picture:
        self._beat.wait()
        try:
            return self._capture.read()
        except CameraGone:
            self._capture.close()
            self._capture = open_device(self._device)
            return self._capture.read()

    def close(self) -> None:
        self._beat.close()
        self._capture.close()
