"""What a picture shows, or why it shows nothing: rules of pixels, without a clock. Pure.

Measured on drawn boards and on photographs of real ones (`benchmarks/pictures.py`): the rules lie far from what any
good picture has, for a false alarm stops a line. What lies between is for the anomaly score and for people.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from pcb_bus.seeing.jpeg import Image

P = TypeVar("P")
_Grey = npt.NDArray[np.uint8]

_SIDE, _COARSE = 320, 160  # pixels of the longer side that the rules are measured at: noise is averaged away there
_DARK, _LIT, _WHITE = 32, 60, 250  # grey levels
_LEAST_DETAIL = 5.0  # grey levels: good pictures have 35 and more, a covered lens with all its noise 3
_MOST_WHITE, _LEAST_DARK = 0.6, 0.01  # shares of the picture
_REACH = 17  # pixels within which an edge is climbed
_LEAST_SHARPNESS = 0.2  # good pictures have 0.31 and more, such a one is out of focus by 6 pixels of 640
_SOFTER = 0.7  # of the sharpness at the set-up: 1 of 5,000 good pictures has less, none that is out of focus has more
_FILL = 4  # grey levels about what a decoder fills in for what is lost
_CORNER = 8, 64  # rows and columns: the smallest block that is lost, and four of them side by side
_LEAST_REPEATED, _BLOCK = 12, 16  # rows


class Flaw(NamedTuple):
    """Why a picture cannot be inspected. `kind` is a stable word for programs, `text` the cause and the way out."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"

    @staticmethod
    def read(text: str) -> "Flaw":
        """What somebody else wrote so; of kind `other` if it is none of ours."""
        kind, _, rest = text.partition(": ")
        return Flaw(kind, rest) if kind in KINDS else Flaw("other", text)


BLACK = Flaw("black", "no light, a cap on the lens, or far too short an exposure: look at lamp, lens and exposure")
COVERED = Flaw("covered", "nothing to be seen in it: something lies on the lens or close before it")
OVEREXPOSED = Flaw("overexposed", "most of it is white: make the exposure shorter, or the lamp less bright")
START_UP = Flaw("start-up", "one flat colour, as a camera gives before its first picture: plug it in again if it stays")
TORN = Flaw("torn", "rows are missing: a cable, a hub or a driver loses data")
FROZEN = Flaw("frozen", "the camera gives the same picture again and again: plug it in again, or restart its driver")
KINDS = frozenset({"black", "covered", "overexposed", "start-up", "torn", "blurred", "frozen", "partial"})


def find_flaw(image: Image, usual_sharpness: float | None = None) -> Flaw | None:
    """Why a decoded picture shows nothing that could be inspected; None: it does.

    Args:
        image: height x width x 3, blue, green, red. Whether its JPEG was whole, `decode_jpeg` says. One of less than
            160 pixels has too few for a covered or blurred one to be told.
        usual_sharpness: what `sharpness` was at the set-up; None: blurred is only what nobody could inspect.
    """
    if _is_torn(image):
        return TORN
    view = _scaled(image, _SIDE)
    grey = _grey(view)
    coarse = _scaled(grey, _COARSE)
    if _quantile(coarse, 0.99) < _DARK:
        return BLACK
    if _detail(coarse) < _LEAST_DETAIL and (flat := _featureless(view, _quantile(coarse, 0.5))):
        return flat
    brightest = cv2.max(cv2.max(view[..., 0], view[..., 1]), view[..., 2])
    if (brightest >= _WHITE).mean() > _MOST_WHITE and (grey < _LIT).mean() < _LEAST_DARK:
        return OVEREXPOSED
    return _blurred(_steepness(grey), usual_sharpness) if max(view.shape) >= _COARSE else None


def partly_in_view(coverage: float) -> Flaw:
    """Of a board of which no more than this share is in the picture."""
    away = "move the camera away from the belt, or let boards come straighter"
    return Flaw("partial", f"{coverage:.0%} of the board is in view: {away}")


def sharpness(image: Image) -> float:
    """How steep the clearest edges of a picture are, 0 to 1, in the direction in which they are softer.

    The share of an edge's whole step that is taken from one pixel to the next, as seen at 320 pixels. It depends on
    lens and motion, and little on board, light and noise (after Marziliano et al., "A No-Reference Perceptual Blur
    Metric", 2002, which measures the width of edges).
    """
    return _steepness(_grey(_scaled(image, _SIDE)))


def _featureless(view: Image, middle: float) -> Flaw | None:
    blue, green, red, _ = cv2.mean(view)
    if _is_fill(view):
        return START_UP
    if max(view.shape) < _COARSE:
        return None
    return OVEREXPOSED if middle >= _WHITE or min(blue, green, red) >= _WHITE else COVERED


def _is_fill(part: Image) -> bool:
    """One flat colour that decoders and drivers use where there is no picture: middle grey, or the green of YUV 0."""
    low, high = (extreme.astype(int) for extreme in (part.min(axis=0).min(axis=0), part.max(axis=0).max(axis=0)))
    if (high - low).max() > 2 * _FILL:
        return False
    blue, green, red = (low + high) / 2
    is_grey = max(abs(blue - 128), abs(green - 128), abs(red - 128)) <= _FILL
    return bool(is_grey or (max(blue, red) <= 3 * _FILL and 60 <= green <= 180))


def _is_torn(image: Image) -> bool:
    """Rows at the end that were made up before this JPEG was made: by a decoder, or by a driver that repeats the last.

    A camera's noise makes every row differ from the next.
    """
    rows, columns = _CORNER
    if image.shape[0] <= 2 * _LEAST_REPEATED or image.shape[1] < columns:
        return False
    if _is_fill(image[-rows:, -columns:]):
        return not _is_fill(image[:rows, :columns])  # else it has such bars, or is nothing else
    return all(_repeats(image[-each:]).all() for each in (2, _LEAST_REPEATED)) and _is_of_a_camera(image)


def _repeats(rows: Image) -> npt.NDArray[np.bool_]:
    """Of each row but the first: whether it is the one above it."""
    return np.asarray(cv2.absdiff(rows[1:], rows[:-1]).max(axis=(1, 2)) <= 2)


def _is_of_a_camera(image: Image) -> bool:
    """Drawn and binarised pictures may repeat rows: they have flat colours, black and white, and do so elsewhere.

    So may a smooth ground in a poor JPEG, of which each block is flat.
    """
    last, repeats = image[-1].astype(np.int16), _repeats(image)
    within = np.isin(np.arange(len(last) - 1) % 8, range(1, 6))  # a block, and not where two of them meet
    noise = (np.abs(np.diff(last, axis=0)).max(axis=1) > 1)[within].mean()
    toned = ((last > 15) & (last < 240)).mean() > 0.5
    above = 0 if repeats.all() else int(np.flatnonzero(~repeats)[-1])
    others = repeats[: max(0, above - _BLOCK)]  # the block in which it begins has some of both
    return bool(noise > (0.1 if toned else 0.25) and (not others.size or others.mean() < 0.5))


def _detail(coarse: _Grey) -> float:
    """How much the strongest small structures stand out from their surroundings, grey levels."""
    picture = coarse.astype(np.float32)
    return _quantile(cv2.absdiff(picture, cv2.GaussianBlur(picture, (0, 0), 2)), 0.99)


def _steepness(grey: _Grey) -> float:
    return min(_along_rows(grey[::4]), _along_rows(np.ascontiguousarray(grey[:, ::4].T)))


def _along_rows(lines: _Grey) -> float:
    """The median over the strongest edges; 1 where there are none."""
    if lines.shape[1] < 2:
        return 1.0
    reach = np.ones((1, _REACH), np.uint8)
    step = cv2.subtract(cv2.dilate(lines, reach), cv2.erode(lines, reach))[:, :-1]
    climb = cv2.dilate(cv2.absdiff(lines[:, 1:], lines[:, :-1]), reach)
    strong = step >= max(0.6 * _quantile(step, 0.99), 8)
    return float(np.median(climb[strong] / step[strong])) if strong.any() else 1.0


def _blurred(found: float, usual: float | None) -> Flaw | None:
    way_out = "clean and focus the lens, or make the exposure shorter"
    if usual is not None and found < _SOFTER * usual:
        return Flaw("blurred", f"its edges are {found / usual:.0%} as sharp as at the set-up: {way_out}")
    return Flaw("blurred", f"nothing in it is sharp: {way_out}") if found < _LEAST_SHARPNESS else None


def _quantile(values: npt.NDArray[Any], share: float) -> float:
    """As `np.quantile`, to the next value below, in a tenth of the time."""
    place = int(share * (values.size - 1))
    return float(np.partition(values, place, axis=None)[place])


def _scaled(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """No longer than `side`; a very large one is thinned out first, for speed."""
    thinned = image[:: (every := max(1, max(image.shape) // (4 * side))), ::every]
    height, width = thinned.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return thinned
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(thinned, size, interpolation=cv2.INTER_AREA), np.uint8)


def _grey(image: Image) -> _Grey:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


class Repeats(Generic[P]):
    """Tells a camera that is frozen: it gives the same picture `least` times or more, for `lasts_ns` or longer.

    Sensors have noise, so that no two pictures of one are the same. A static scene may look the same for a while
    where a video codec has smoothed it.

    Args:
        same: whether two pictures are.
    """

    def __init__(
        self, least: int, lasts_ns: int, same: Callable[[P, P], bool] = lambda one, other: one == other
    ) -> None:
        self._least = least
        self._lasts_ns = lasts_ns
        self._same = same
        self._first: tuple[P, int] | None = None
        self._count = 0

    @property
    def since(self) -> int | None:
        """When the first of these pictures was captured."""
        return self._first and self._first[1]

    def see(self, picture: P, captured_at: int) -> bool:
        """Whether it is frozen, now that this picture came (ns since the epoch)."""
        if self._first is None or not self._same(picture, self._first[0]):
            self._first, self._count = (picture, captured_at), 1
            return False
        self._count += captured_at != self._first[1]  # one that is sent again has the time that it had
        return self._count >= self._least and captured_at - self._first[1] >= self._lasts_ns


@dataclass(slots=True)
class Lasting:
    """What is wrong with a camera: at once when it begins, and until `after` pictures in a row have been otherwise.

    A cable that tears every fifth picture is one trouble, not one for each picture.
    """

    after: int
    flaw: Flaw | None = None
    _others: int = field(default=0)

    def see(self, flaw: Flaw | None) -> Flaw | None:
        """What is wrong, now that a picture had this flaw."""
        if (flaw and flaw.kind) == (self.flaw and self.flaw.kind):
            self._others = 0
        else:
            self._others += 1
            if self.flaw is None or self._others >= self.after:
                self.flaw, self._others = flaw, 0
        return self.flaw
