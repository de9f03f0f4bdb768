"""Finds pictures that a dataset holds more than once, be it under another name.

All boards of one product look alike to a camera above a conveyor, so likeness alone proves nothing. Two pictures are
the same when they differ nowhere by more than what storing a picture again does to it: another format, quality or
scale, brightness and contrast, a little blur or noise, mirrored or turned by quarter turns. A perceptual hash finds
the candidates. Then both, made 128x128 and equal in mean and contrast, are compared tile by tile: the worst of 256
tiles decides, for another board differs somewhere, if only by how a part lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.boxes import TURNS
from training.datasets.pictures import THUMB, Picture

_Indices = npt.NDArray[np.intp]
_Hashes = npt.NDArray[np.uint64]
_Values = npt.NDArray[np.float32]
_TILE, _BLOCK, _AT_ONCE = 8, 512, 32768


@dataclass(frozen=True, slots=True)
class SamenessSettings:
    """When two pictures count as the same.

    Args:
        hash_distance: hashes that differ in more of their 63 bits are not compared further.
        tile_difference: largest mean difference of a tile, in standard deviations of the picture.
    """

    hash_distance: int = 10
    tile_difference: float = 0.16


def find_same(pictures: Sequence[Picture], settings: SamenessSettings | None = None) -> list[tuple[int, int]]:
    """Pairs of indices, the lower first, of pictures that are the same."""
    if len(pictures) < 2:
        return []
    chosen = settings or SamenessSettings()
    hashes = np.stack([picture.hashes for picture in pictures])
    coarse = np.stack([_tile_means(_levelled(picture)) for picture in pictures])
    return sorted({pair for turn in TURNS for pair in _same_in_turn(pictures, hashes, coarse, turn, chosen)})


def tile_difference(a: Picture, b: Picture, turn: int = 0) -> float:
    """How much the worst tile of `a` differs from that of `b` turned, in standard deviations."""
    return float(_tile_means(np.abs(_levelled(a) - _turned(_levelled(b), turn))).max())


def _same_in_turn(
    pictures: Sequence[Picture], hashes: _Hashes, coarse: _Values, turn: int, settings: SamenessSettings
) -> Iterator[tuple[int, int]]:
    limit = settings.tile_difference
    turned = np.stack([_turned(means, turn) for means in coarse])
    for i, j in _candidates(hashes, turn, settings.hash_distance):
        # The means of two tiles differ at most by as much as the tiles do, and cost a sixty-fourth.
        near = np.abs(coarse[i] - turned[j]).max(axis=(1, 2)) <= limit
        for a, b in zip(i[near].tolist(), j[near].tolist(), strict=True):
            if tile_difference(pictures[a], pictures[b], turn) <= limit:
                yield a, b


def _candidates(hashes: _Hashes, turn: int, distance: int) -> Iterator[tuple[_Indices, _Indices]]:
    """Index pairs, the lower first, whose hashes are close when the second picture is turned."""
    for start in range(0, len(hashes), _BLOCK):
        bits = np.bitwise_count(hashes[start : start + _BLOCK, 0, None] ^ hashes[None, :, turn])
        i, j = np.nonzero(bits <= distance)
        later = j > i + start
        i, j = i[later] + start, j[later]
        for first in range(0, len(i), _AT_ONCE):
            yield i[first : first + _AT_ONCE], j[first : first + _AT_ONCE]


def _levelled(picture: Picture) -> _Values:
    """The small copy with mean 0 and deviation 1."""
    values = picture.thumb.astype(np.float32)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1.0), np.float32)


def _turned(values: _Values, turn: int) -> _Values:
    mirrored = values[:, ::-1] if turn & 1 else values
    return np.rot90(mirrored, turn >> 1)


def _tile_means(values: _Values) -> _Values:
    tiles = THUMB // _TILE
    return np.asarray(values.reshape(tiles, _TILE, tiles, _TILE).mean(axis=(1, 3)))
