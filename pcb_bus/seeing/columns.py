"""What a picture of a belt shows, column by column along the direction of travel. Pure.

A board has texture and a belt has little. Texture is the gradient of the logarithm of brightness: lamps that drift, a
camera's auto-exposure and soft shadows leave it as it is. What the belt itself shows is learned where nothing lies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

#: Columns of a picture, along the belt: 4 pixels of 640 each.
COLUMNS = 160
#: Bands of a picture, across the belt.
BANDS = 24
_ROWS = 120
_PROFILE_BANDS = 8
_LOG = np.round(90 * np.log1p(np.arange(256) / 16)).astype(np.uint8)  # the 16 keeps noise in the dark small
_MARGIN = 5.0  # texture of a board above that of the belt
_BELT_NOISE, _MOST_NOISE = 4.0, 12.0
_LEARN_EVERY, _LEARN_SHARE = 4, 0.04
_ON, _OFF = 4, 2  # bands: a column is a board's from _ON, and empty below _OFF
_STRETCH = re.compile(rb"\0(?:\x01?\0)*")
_SEAM_STEP = 8  # of the logarithm of brightness, across a line
_OTHER_HUE = 0.1
_BRIGHTER = 100  # of the logarithm of brightness: three times as bright as the belt
_SLANT = np.ones((1, 3), np.uint8)
_DARK = 14
_SMOOTH, _ONE = np.array([0.25, 0.5, 0.25], np.float32), np.ones(1, np.float32)
_COLOURS = np.array([(0, 1.5, 0, 24), (-1, 0, 1, 0), (1, 1, 1, 48)], np.float32)  # of blue, green, red
_BAND_MEANS = np.repeat(np.eye(BANDS, dtype=np.float32), _ROWS // BANDS, axis=1) * (BANDS / _ROWS)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """One picture.

    Args:
        texture: BANDS x COLUMNS, how much of it.
        strong: where there is more of it than on the belt.
        filled: where there is that, or another colour than the belt's.
        runs: first and last column (exclusive) of each stretch that is not belt.
        blind: too dark to tell anything.
    """

    texture: Floats
    strong: Mask
    filled: Mask
    runs: tuple[tuple[int, int], ...]
    blind: bool
    _logarithm: Image
    _along: Floats

    def occupied(self, begin: float, end: float) -> float:
        """Share of these columns that is not belt; 0 of none."""
        begin, end = max(0, round(begin)), min(COLUMNS, round(end))
        covered = sum(max(0, min(end, last) - max(begin, first)) for first, last in self.runs)
        return covered / (end - begin) if end > begin else 0.0

    def profile(self) -> Floats:
        """The gradient along the belt, 8 bands x COLUMNS: what moves is found again by it."""
        profile = np.add.reduce(self._along.reshape(_PROFILE_BANDS, -1, COLUMNS), axis=1)
        return np.asarray(cv2.sepFilter2D(profile, -1, _SMOOTH, _ONE), np.float32)

    def seam(self, top: int, bottom: int) -> Floats:
        """For each column, the share of these bands that a line across the belt runs through."""
        height = _ROWS // BANDS
        rows = self._logarithm[top * height : (bottom + 1) * height]
        step = cv2.threshold(cv2.absdiff(rows[:, 1:], rows[:, :-1]), _SEAM_STEP, 255, cv2.THRESH_BINARY)[1]
        share = cv2.reduce(cv2.dilate(step, _SLANT), 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[0]
        return np.asarray(np.maximum(share[::2], np.append(share[1::2], 0)) / 255, np.float32)


class Belt:
    """What the belt looks like where nothing lies on it.

    Args:
        upright: the belt runs up or down in the picture.
        sensitivity: 1 by default; more finds boards with less texture.
    """

    def __init__(self, *, upright: bool = False, sensitivity: float = 1.0) -> None:
        self._upright = upright
        self._margin = _MARGIN / sensitivity
        self._along = np.zeros((_ROWS, COLUMNS), np.float32)
        self._across = np.zeros((_ROWS, COLUMNS), np.float32)
        self._noise = np.full(BANDS, _BELT_NOISE, np.float32)
        self._plain = np.full((3, BANDS, 1), np.nan, np.float32)  # not known: nothing is of another colour
        self._seen = 0
        self._last: tuple[Floats, Floats, Floats, Floats] | None = None

    def look(self, picture: Image) -> Columns:
        """The columns of a picture, uint8, height x width x 3 (BGR), of any size."""
        few = self._few(picture)
        logarithm = _logarithm(few)
        level = cv2.resize(logarithm, (COLUMNS, _ROWS), interpolation=cv2.INTER_LINEAR).astype(np.float32)
        along, across = _gradient(level)
        news = along - self._along
        own = cv2.add(np.abs(along), np.abs(across))
        other = cv2.add(np.abs(news), cv2.absdiff(across, self._across))
        texture = np.asarray(_BAND_MEANS @ cv2.min(own, other), np.float32)
        strong = texture > (self._noise + self._margin)[:, None]
        colour = np.empty((3, BANDS, COLUMNS), np.float32)
        colour[:2] = _hue(few)
        np.matmul(_BAND_MEANS, level, out=colour[2])
        self._last = along, across, texture, colour
        unlike = colour - self._plain
        hue = np.abs(unlike[:2]) > _OTHER_HUE
        other_colour = hue[0] | hue[1] | (unlike[2] > _BRIGHTER)
        blind = cv2.mean(colour[2])[0] < _LOG[_DARK]
        return Columns(texture, strong, strong | other_colour, _runs(strong, other_colour), blind, logarithm, news)

    def learn(self, free: Mask) -> bool:
        """In these columns of the picture just looked at lies nothing. Whether the belt's colour is news."""
        self._seen += 1
        is_first = bool(np.isnan(self._plain[0, 0, 0]))
        if self._last is None or (self._seen % _LEARN_EVERY and not is_first) or free.sum() < COLUMNS // 16:
            return False
        along, across, texture, colour = self._last
        share = np.where(free, np.float32(_LEARN_SHARE), np.float32(0))
        self._along += share * (along - self._along)
        self._across += share * (across - self._across)
        lying = colour[:, :, free]
        plain = np.partition(lying, lying.shape[2] // 2, axis=2)[:, :, lying.shape[2] // 2, None]
        self._plain = plain if is_first else self._plain + _LEARN_SHARE * (plain - self._plain)
        noise = texture[:, free].mean(axis=1)
        self._noise += _LEARN_SHARE * (np.minimum(noise, _MOST_NOISE) - self._noise)
        return is_first

    def take_over(self) -> None:
        """All that the picture just looked at shows is part of the machine."""
        if self._last is not None:
            self._along, self._across = self._last[0].copy(), self._last[1].copy()

    def _few(self, picture: Image) -> Image:
        """No more pixels than are needed, with the belt running along the rows."""
        height, width = picture.shape[:2]
        most = (2 * _ROWS, 4 * COLUMNS) if self._upright else (4 * COLUMNS, 2 * _ROWS)
        if self._upright or width > most[0]:
            size = min(width, most[0]), min(height, most[1])
            few = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
            return np.asarray(cv2.transpose(few) if self._upright else few, np.uint8)
        return picture[:: max(1, height // (2 * _ROWS))]


def _logarithm(few: Image) -> Image:
    """_ROWS x 2 COLUMNS."""
    grey = cv2.cvtColor(few, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.LUT(cv2.resize(grey, (2 * COLUMNS, _ROWS), interpolation=cv2.INTER_AREA), _LOG), np.uint8)


def _hue(few: Image) -> Floats:
    """2 x BANDS x COLUMNS, the colour, whatever the light."""
    fewer = cv2.blur(cv2.resize(few, (COLUMNS, BANDS), interpolation=cv2.INTER_NEAREST), (3, 3))
    green, red, whole = cv2.split(cv2.transform(fewer.astype(np.float32), _COLOURS))
    return np.asarray(np.stack([green / whole - 0.5, red / whole]), np.float32)


def _gradient(level: Floats) -> tuple[Floats, Floats]:
    along, across = np.zeros_like(level), np.zeros_like(level)
    cv2.subtract(level[:, 1:], level[:, :-1], along[:, 1:])
    cv2.subtract(level[1:], level[:-1], across[1:])
    return along, across


def _runs(strong: Mask, other_hue: Mask) -> tuple[tuple[int, int], ...]:
    """Stretches from empty to empty that are a board's somewhere; one empty column alone is no gap."""
    bands = counted(strong, 0)
    empty = (bands < _OFF) & (counted(other_hue, 0) < _ON)
    stretches = (found.span() for found in _STRETCH.finditer(empty.tobytes()))
    sure = bands >= _ON
    return tuple((begin, end) for begin, end in stretches if np.count_nonzero(sure[begin:end]) >= 2)


def counted(mask: Mask, axis: int) -> npt.NDArray[np.uint8]:
    """How many there are along that axis, fewer than 256; a fifth of the time that `count_nonzero` takes."""
    return np.asarray(np.add.reduce(mask.view(np.uint8), axis=axis, dtype=np.uint8), np.uint8)
