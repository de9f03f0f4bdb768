"""The heat of an anomaly as a picture that any viewer lays over the frame as it is.

A palette PNG (ISO/IEC 15948): each pixel's index is the heat of its cell, unchanged, and the palette makes cold cells
clear, cells towards the threshold yellow, and hot ones red.
"""

import struct
import zlib

import numpy as np
import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DEPTH, _PALETTE_COLOUR, _NO_FILTER = 8, 3, 0
_WARM, _HOT = 96, 192  # below the one clear, above the other red; 128 is the threshold
_FAINTEST, _DENSEST = 40, 190


def heat_png(heat: npt.NDArray[np.uint8]) -> bytes:
    """`heat`, uint8 (height, width), as a PNG of as many pixels."""
    height, width = heat.shape
    rows = np.pad(heat, ((0, 0), (1, 0)), constant_values=_NO_FILTER)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, _DEPTH, _PALETTE_COLOUR, 0, 0, 0)),
            _chunk(b"PLTE", _COLOURS),
            _chunk(b"tRNS", _OPACITIES),
            _chunk(b"IDAT", zlib.compress(rows.tobytes())),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _colours() -> bytes:
    """Red, green and blue of the 256 heats."""
    green = np.interp(np.arange(256), (_WARM, _HOT), (255, 0)).astype(np.uint8)
    return np.stack([np.full_like(green, 255), green, np.zeros_like(green)], axis=1).tobytes()


def _opacities() -> bytes:
    heats = np.arange(256)
    opacity = np.interp(heats, (_WARM, 255), (_FAINTEST, _DENSEST))
    return np.where(heats < _WARM, 0, opacity).astype(np.uint8).tobytes()


_COLOURS, _OPACITIES = _colours(), _opacities()
