"""Looks at every picture of a dataset once: can it be read, how large is it, and what does it look like."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from training.boxes import TURNS, Image, turn_image

#: Side of the small grey picture that pictures are compared by.
THUMB = 128
_HASHED, _FREQUENCIES = 32, 8
_JPEG_START, _JPEG_END, _JPEG_SCAN = b"\xff\xd8", b"\xff\xd9", b"\xff\xda"


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """A readable picture: its size, its perceptual hash in each of the eight turns, and a small grey copy."""

    width: int
    height: int
    hashes: npt.NDArray[np.uint64]
    thumb: Image


class Unreadable(str):
    """Why a picture could not be read."""

    __slots__ = ()


def look_at(paths: Sequence[Path], follow: Callable[[Iterable[object]], object] = list) -> list[Picture | Unreadable]:
    """Every picture, read by as many threads as there are cores; `follow` runs through the results as they come."""
    results: list[Picture | Unreadable] = []

    def collected() -> Iterable[object]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for result in pool.map(look_at_one, paths):
                results.append(result)
                yield result

    follow(collected())
    return results


def look_at_one(path: Path) -> Picture | Unreadable:
    """One picture."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return Unreadable(error.strerror or str(error))
    if data.startswith(_JPEG_START) and _ends_early(data):
        return Unreadable("a JPEG that ends too early")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if image is None:
        return Unreadable("not an image" if data else "an empty file")
    height, width = image.shape
    grey = np.asarray(image, np.uint8)
    return Picture(width, height, _hashes(grey), _small(grey, THUMB))


def _ends_early(jpeg: bytes) -> bool:
    """Whether the end is missing. Phones append films to pictures, and a preview has an end of its own before them."""
    place = len(_JPEG_START)
    while jpeg[place : place + 1] == b"\xff":
        if jpeg.startswith(_JPEG_SCAN, place):
            return _JPEG_END not in jpeg[place:]
        place += 2 + int.from_bytes(jpeg[place + 2 : place + 4])
    return _JPEG_END not in jpeg[-4096:]  # not by the book


def _hashes(grey: Image) -> npt.NDArray[np.uint64]:
    """Signs of the low frequencies (63 bits): Zauner, Implementation and benchmarking of perceptual hashes, 2010."""
    small = _small(grey, _HASHED)
    return np.array([_hash(turn_image(small, turn)) for turn in TURNS], np.uint64)


def _hash(small: Image) -> int:
    low = cv2.dct(small.astype(np.float32))[:_FREQUENCIES, :_FREQUENCIES].ravel()[1:]
    return int.from_bytes(np.packbits(low > 0).tobytes(), "big")


def _small(grey: Image, side: int) -> Image:
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
