"""The abstract camera. A driver of your own implements `Source` and is found through `boardline.sources`."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pcb_bus.errors import BoardlineError

Image = NDArray[np.uint8]
"""Height x width x 3, blue first."""


class CameraGone(BoardlineError, OSError):
    """The source delivers no more pictures, or could not be opened; opening it again may help."""


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What a source is asked for: pixels and pictures per second. Files and folders keep their own size."""

    width: int = 640
    height: int = 480
    fps: float = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture as the device gave it: decoded (`image`), already compressed (`jpeg`), or both.

    `captured_at` is ns since the epoch; `width` and `height` are pixels.
    """

    captured_at: int
    width: int
    height: int
    image: Image | None = field(default=None, repr=False)
    jpeg: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.image is None and self.jpeg is None:
            raise ValueError("a picture needs an image, a jpeg, or both")


class Source(Protocol):
    """A camera that is open. One thread reads it; `close` may come from another."""

    def read(self) -> Picture:
        """The next picture; blocks until there is one.

        Raises:
            CameraGone: there will be no more.
        """
        ...

    def close(self) -> None:
        """Release the device. May come again, or while `read` blocks, which then raises as soon as it can."""
        ...
