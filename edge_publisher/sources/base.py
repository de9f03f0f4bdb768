"""The abstract camera. A driver of your own implements `Source` and is found through `boardline.sources`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from pcb_bus.contract.times import NS_PER_S
from pcb_bus.errors import BoardlineError

Image = NDArray[np.uint8]
"""Height x width x 3, blue first."""
Turn = Literal[0, 90, 180, 270]
Auto = Literal["auto"]

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class CameraGone(BoardlineError, OSError):
    """The source delivers no more pictures, or could not be opened; opening it again may help."""


@dataclass(frozen=True, slots=True)
class View:
    """What everybody sees of a camera's pictures: the region `crop`, turned clockwise by `rotate` degrees.

    `crop` is left, top, width and height as shares of the camera's own picture; None: all of it.
    """

    crop: tuple[float, float, float, float] | None = None
    rotate: Turn = 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is seen of a picture of that size, pixels."""
        left, top, right, bottom = self._edges(width, height)
        seen = right - left, bottom - top
        return seen[::-1] if self.rotate in {90, 270} else seen

    def of(self, image: Image) -> Image:
        """What is seen of it."""
        left, top, right, bottom = self._edges(image.shape[1], image.shape[0])
        seen = image[top:bottom, left:right]
        return np.asarray(
            cv2.rotate(seen, _TURNS[self.rotate]) if self.rotate else np.ascontiguousarray(seen), np.uint8
        )

    def _edges(self, width: int, height: int) -> tuple[int, int, int, int]:
        left, top, wide, high = self.crop or (0.0, 0.0, 1.0, 1.0)
        x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
        return (
            x,
            y,
            min(max(round((left + wide) * width), x + 1), width),
            min(max(round((top + high) * height), y + 1), height),
        )


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """What a source is asked for: pixels and pictures per second. Files and folders keep their own size.

    What is None stays as the camera has it. Also what a camera says that it has: None (of the first three, 0) for what
    it cannot tell.

    Args:
        white_balance: colour temperature, K.
        focus: in the camera's own unit (V4L2), or in dioptres (picamera2).
    """

    width: int = 640
    height: int = 480
    fps: float = 10.0
    exposure_ms: float | Auto | None = None
    gain: float | None = None
    white_balance: float | Auto | None = None
    focus: float | Auto | None = None

    def refused(self, has: "CaptureRequest") -> list[str]:
        """Of what is asked here, that which a camera does not have after it was told; in words."""
        return [
            f"{each.name} {_told(wanted)} ({'it has none' if got is None else f'it has {_told(got)}'})"
            for each in fields(self)
            if (wanted := getattr(self, each.name)) is not None
            and not _near(each.name, wanted, got := getattr(has, each.name))
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture as the device gave it: decoded (`image`), already compressed (`jpeg`), or both.

    `captured_at` is ns since the epoch; `width` and `height` are pixels. With a `view`, they are those of what is seen
    of `jpeg`, and `image` is not there yet.
    """

    captured_at: int
    width: int
    height: int
    image: Image | None = field(default=None, repr=False)
    jpeg: bytes | None = field(default=None, repr=False)
    view: View | None = None

    def __post_init__(self) -> None:
        if self.image is None and self.jpeg is None:
            raise ValueError("a picture needs an image, a jpeg, or both")

    def pixels(self, reduced: Literal[1, 2, 4, 8] = 1) -> Image | None:
        """What is to be seen; of a JPEG at 1/2, 1/4 or 1/8 of its size, which is much faster. None: not readable."""
        if self.image is not None:
            return self.image
        try:
            image = cv2.imdecode(np.frombuffer(self.jpeg or b"", np.uint8), _REDUCED[reduced])
        except cv2.error:
            return None
        if image is None or image.size == 0:
            return None
        whole = np.asarray(image, np.uint8)
        return self.view.of(whole) if self.view else whole

    def seen_through(self, view: View) -> "Picture":
        """The same moment through `view`; a JPEG is not decoded before somebody wants its pixels."""
        width, height = view.size(self.width, self.height)
        if self.image is not None:
            return Picture(self.captured_at, width, height, image=view.of(self.image))
        return replace(self, width=width, height=height, view=view)


def age_of(stamped_ns: int, now_ns: int) -> int:
    """How old a picture is, ns, that a driver stamped by the clock that shows `now_ns`; 0 where that cannot be true.

    Most drivers stamp by the monotonic clock. Some stamp by another, or not at all.
    """
    age = now_ns - stamped_ns
    return age if 0 <= age <= NS_PER_S else 0


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


@runtime_checkable
class Adjustable(Protocol):
    """A source with optics that can be set, by the thread that reads it."""

    def adjust(self, request: CaptureRequest) -> CaptureRequest:
        """Set exposure, gain, white balance and focus; what the camera says that it has now."""
        ...

    def values(self) -> CaptureRequest:
        """The same with the numbers that hold now where the camera chooses them: asked for, they are fixed."""
        ...


class Held:
    """A device that one thread reads, `with` this, and another may close: to release it under a read would crash.

    Raises:
        CameraGone: it was closed before.
    """

    def __init__(self, release: Callable[[], object]) -> None:
        self._release = release
        self._busy = threading.Lock()
        self._closed = False

    def __enter__(self) -> None:
        self._busy.acquire()
        if self._closed:
            self.__exit__()
            raise CameraGone("closed")

    def __exit__(self, *_: object) -> None:
        try:
            if self._closed:
                self._release()
        finally:
            self._busy.release()

    def close(self) -> None:
        """Now, or when whoever reads is back."""
        self._closed = True
        if self._busy.acquire(blocking=False):
            self._release()
            self._busy.release()


class Viewed:
    """A `Source` seen through a `view`."""

    def __init__(self, source: Source, view: View) -> None:
        self.source = source
        self._view = view

    def read(self) -> Picture:
        return self.source.read().seen_through(self._view)

    def close(self) -> None:
        self.source.close()


def adjustable(source: Source) -> Adjustable | None:
    """The camera behind `source`, if its optics can be set."""
    inner = source.source if isinstance(source, Viewed) else source
    return inner if isinstance(inner, Adjustable) else None


def adjust(source: Source, request: CaptureRequest) -> list[str]:
    """Set exposure, gain, white balance and focus; in words, what of `request` the camera does not have afterwards."""
    camera = adjustable(source)
    if camera is None:
        own_size = CaptureRequest(request.width, request.height, request.fps)
        return request.refused(own_size)
    return request.refused(camera.adjust(request))


def _near(name: str, wanted: float | str, got: float | str | None) -> bool:
    if isinstance(wanted, str) or isinstance(got, str) or got is None:
        return wanted == got
    if name in {"width", "height", "fps"} and (got <= 0 or (name == "fps" and got > wanted)):
        return True
    return abs(wanted - got) <= 0.05 * abs(wanted) + 0.1


def _told(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
